// A library with a large frame.
#define FRAME 3000008
#include "replaced.h"
typedef int not_empty;
