# cmake -D SOURCE=folder -D OUTPUT=file.c -P WritePage.cmake
#
# Makes page.html with its style and script one text, and the text a C array `flame_page`.
file(READ ${SOURCE}/page.html page)
file(READ ${SOURCE}/style.css style)
file(READ ${SOURCE}/script.js script)
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@SCRIPT@" "${script}" page "${page}")
get_filename_component(folder ${OUTPUT} DIRECTORY)
file(MAKE_DIRECTORY ${folder})
file(WRITE ${OUTPUT}.html "${page}")
file(READ ${OUTPUT}.html hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUTPUT} "extern const char flame_page[];\nconst char flame_page[] = {\n${hex}0x00};\n")
