// A library with a small frame.
#define FRAME 3016
#include "replaced.h"
typedef int not_empty;
