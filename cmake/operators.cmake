# Turns the `LINNET_OP(Name, since, Type)` lines of src/ops/*.cc into the operator table.
#
# linnet_operator_table(OUTPUT config sources...) writes OUTPUT, a C++ file that declares one factory per line and
# lists them sorted by domain and name. With `config` (a file of lines `[domain:]Name`, `#` comments) only the
# operators it names are listed, and LINNET_OP_SOURCES has only the files that define one of them.
# Each macro variant names a domain:
#   LINNET_OP           the ai.onnx domain
#   LINNET_ML_OP        ai.onnx.ml
#   LINNET_MS_OP        com.microsoft
#   LINNET_PREVIEW_OP   ai.onnx.preview
#   LINNET_TRAINING_OP  ai.onnx.preview.training
#   LINNET_INTERNAL_OP  linnet: what passes produce
function(linnet_operator_table output config)
  set(wanted "")
  if(config)
    file(STRINGS ${config} lines)
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "#.*" "" line "${line}")
      string(STRIP "${line}" line)
      if(line)
        string(REGEX REPLACE "[ \t].*" "" line "${line}")
        list(APPEND wanted "${line}")
      endif()
    endforeach()
  endif()
  set(declarations "")
  set(rows "")
  set(missing "")
  set(sources "")
  set(found "")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(STRINGS ${file} lines REGEX "^LINNET_([A-Z]+_)?OP\\(")
    set(used FALSE)
    foreach(line IN LISTS lines)
      string(REGEX MATCH "^LINNET_(([A-Z]+)_)?OP\\(([A-Za-z0-9_]+), *([0-9]+)" _ "${line}")
      set(variant "${CMAKE_MATCH_2}")
      set(name "${CMAKE_MATCH_3}")
      set(since "${CMAKE_MATCH_4}")
      if(variant STREQUAL "")
        set(domain "")
        set(qualified "${name}")
      else()
        string(TOLOWER "${variant}" domain)
        string(REPLACE "internal" "linnet" domain "${domain}")
        string(REGEX REPLACE "^ml$" "ai.onnx.ml" domain "${domain}")
        string(REGEX REPLACE "^ms$" "com.microsoft" domain "${domain}")
        string(REGEX REPLACE "^preview$" "ai.onnx.preview" domain "${domain}")
        string(REGEX REPLACE "^training$" "ai.onnx.preview.training" domain "${domain}")
        set(qualified "${domain}:${name}")
      endif()
      if(wanted AND NOT "${qualified}" IN_LIST wanted)
        string(APPEND missing "    {\"${domain}\", \"${name}\", ${since}},\n")
        continue()
      endif()
      set(used TRUE)
      list(APPEND found "${qualified}")
      string(APPEND declarations "OpDef LinnetOp_${variant}_${name}_${since}();\n")
      string(APPEND rows "    LinnetOp_${variant}_${name}_${since},\n")
    endforeach()
    if(used OR NOT wanted)
      list(APPEND sources ${file})
    endif()
  endforeach()
  list(REMOVE_ITEM wanted ${found})
  if(wanted)
    list(JOIN wanted ", " unknown)
    message(FATAL_ERROR "${config} names operators that do not exist: ${unknown}")
  endif()
  set(text "// Generated from the LINNET_OP lines of src/ops. Do not edit.
#include \"ops/registry.h\"

namespace linnet {
${declarations}
namespace {
constexpr OpDef (*kFactories[])() = {
${rows}    nullptr};
constexpr OpName kLeftOut[] = {
${missing}    {nullptr, nullptr, 0}};
}  // namespace

OpDef (*const* OperatorFactories())() { return kFactories; }
const OpName* OperatorsLeftOut() { return kLeftOut; }

}  // namespace linnet
")
  file(CONFIGURE OUTPUT ${output} CONTENT "${text}" @ONLY)
  set(LINNET_OP_SOURCES ${sources} PARENT_SCOPE)
endfunction()
