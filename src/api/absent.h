// Functions of the public headers that a build leaves out: LINNET_ABSENT(Name) exports one that answers LINNET_NOT_IN_BUILD. The file
// that includes this defines `static LinnetCode Absent()`, which says what is missing. Arguments do not matter.
#pragma once

#include "api/c_api.h"

#define LINNET_TEXT_(x) #x
#define LINNET_TEXT(x) LINNET_TEXT_(x)
#define LINNET_ABSENT(function)                                                                                     \
  extern "C" __attribute__((visibility("default"))) LinnetCode function##Absent()                                  \
      __asm__(LINNET_TEXT(__USER_LABEL_PREFIX__) #function);                                                       \
  LinnetCode function##Absent() { return Absent(); }
