# Turns the `LINNET_OP(Name, since, Type)` lines of src/ops/*.cc into the operator table.
#
# linnet_operator_table(OUTPUT config sources...) writes OUTPUT, a C++ file that declares one factory per line and
# lists them sorted by domain and name. With `config`, a configuration as `linnet requirements` writes it
# (src/format/requirements.h has the grammar), only what its operators mean in the versions given is listed, and
# LINNET_OP_SOURCES has only the files that define one of them. Types in a configuration are read over: a build has all
# types of its operators.
# Each macro variant names a domain:
#   LINNET_OP           the ai.onnx domain
#   LINNET_ML_OP        ai.onnx.ml
#   LINNET_MS_OP        com.microsoft
#   LINNET_PREVIEW_OP   ai.onnx.preview
#   LINNET_TRAINING_OP  ai.onnx.preview.training
#   LINNET_INTERNAL_OP  linnet: what passes produce

# RESULT: a list of domain|version|operator|line, one for each operator and version.
function(linnet_read_configuration result config)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${config})
  file(READ ${config} text)
  # What lists give a meaning to is replaced: fields end with '|', lines with ';'.
  string(REPLACE "\\" "/" text "${text}")
  string(REPLACE "|" "/" text "${text}")
  string(REPLACE "\r" "" text "${text}")
  string(REPLACE ";" "|" text "${text}")
  string(REPLACE "[" "<" text "${text}")
  string(REPLACE "]" ">" text "${text}")
  string(REPLACE "\n" "\n;" lines "${text}")
  set(number 0)
  set(wanted "")
  foreach(line IN LISTS lines)
    math(EXPR number "${number} + 1")
    string(REGEX REPLACE "#.*" "" line "${line}")
    string(REGEX REPLACE "[ \t\n]" "" line "${line}")
    if(line STREQUAL "" OR line MATCHES "^!")
      continue()
    endif()
    set(nested "")
    while(NOT nested STREQUAL line)
      set(nested "${line}")
      string(REGEX REPLACE "{[^{}]*}" "" line "${line}")
    endwhile()
    if(NOT line MATCHES "^([^|]*)[|]([0-9,]+)[|]([^|{}<>\"]+)$")
      message(FATAL_ERROR "${config}:${number}: a line has the form domain;version,version;Operator,Operator, "
                          "such as ai.onnx;13;Add,Relu")
    endif()
    set(domain "${CMAKE_MATCH_1}")
    string(REPLACE "," ";" versions "${CMAKE_MATCH_2}")
    string(REPLACE "," ";" names "${CMAKE_MATCH_3}")
    if(domain STREQUAL "ai.onnx")
      set(domain "")
    endif()
    foreach(name IN LISTS names)
      foreach(version IN LISTS versions)
        list(APPEND wanted "${domain}|${version}|${name}|${number}")
      endforeach()
    endforeach()
  endforeach()
  set(${result} "${wanted}" PARENT_SCOPE)
endfunction()

# RESULT: "; did you mean X?" where the names after `word` have one that starts alike (the longer the better, then the
# nearer in length), else nothing.
function(linnet_hint result word)
  string(TOLOWER "${word}" word)
  set(best "")
  set(best_score 200)
  string(LENGTH "${word}" word_length)
  foreach(name IN LISTS ARGN)
    string(TOLOWER "${name}" lower)
    set(length 0)
    string(LENGTH "${lower}" end)
    while(length LESS end)
      math(EXPR next "${length} + 1")
      string(SUBSTRING "${lower}" 0 ${next} start)
      string(FIND "${word}" "${start}" at)
      if(NOT at EQUAL 0)
        break()
      endif()
      set(length ${next})
    endwhile()
    math(EXPR score "100 * ${length} - ((${end} - ${word_length}) * (${end} - ${word_length}))")
    if(length GREATER 2 AND score GREATER best_score)
      set(best "; did you mean ${name}?")
      set(best_score ${score})
    endif()
  endforeach()
  set(${result} "${best}" PARENT_SCOPE)
endfunction()

function(linnet_operator_table output config)
  # Every line of every file: variant|domain|name|since|file.
  set(rows "")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(STRINGS ${file} lines REGEX "^LINNET_([A-Z]+_)?OP\\(")
    foreach(line IN LISTS lines)
      string(REGEX MATCH "^LINNET_(([A-Z]+)_)?OP\\(([A-Za-z0-9_]+), *([0-9]+)" _ "${line}")
      set(variant "${CMAKE_MATCH_2}")
      set(name "${CMAKE_MATCH_3}")
      set(since "${CMAKE_MATCH_4}")
      string(TOLOWER "${variant}" domain)
      string(REPLACE "internal" "linnet" domain "${domain}")
      string(REGEX REPLACE "^ml$" "ai.onnx.ml" domain "${domain}")
      string(REGEX REPLACE "^ms$" "com.microsoft" domain "${domain}")
      string(REGEX REPLACE "^preview$" "ai.onnx.preview" domain "${domain}")
      string(REGEX REPLACE "^training$" "ai.onnx.preview.training" domain "${domain}")
      list(APPEND rows "${variant}|${domain}|${name}|${since}|${file}")
      string(MAKE_C_IDENTIFIER "since_${domain}_${name}" key)
      list(APPEND ${key} ${since})
      string(MAKE_C_IDENTIFIER "names_${domain}" key)
      list(APPEND ${key} ${name})
      list(APPEND domains "${domain}")
    endforeach()
  endforeach()

  set(reduced false)
  if(config)
    set(reduced true)
    linnet_read_configuration(wanted ${config})
    foreach(each IN LISTS wanted)
      string(REPLACE "|" ";" each "${each}")
      list(GET each 0 domain)
      list(GET each 1 version)
      list(GET each 2 name)
      list(GET each 3 number)
      string(MAKE_C_IDENTIFIER "since_${domain}_${name}" key)
      if(NOT DEFINED ${key})
        string(MAKE_C_IDENTIFIER "names_${domain}" names)
        set(shown ${domain})
        if(NOT domain)
          set(shown ai.onnx)
        endif()
        if(DEFINED ${names})
          linnet_hint(hint "${name}" ${${names}})
          message(FATAL_ERROR "${config}:${number}: there is no operator '${name}' in ${shown}${hint}")
        endif()
        linnet_hint(hint "${domain}" ${domains} ai.onnx)
        message(FATAL_ERROR "${config}:${number}: there are no operators of domain '${domain}'${hint}")
      endif()
      set(best 0)
      foreach(since IN LISTS ${key})
        if(since LESS_EQUAL version AND since GREATER best)
          set(best ${since})
        endif()
      endforeach()
      string(MAKE_C_IDENTIFIER "picked_${domain}_${name}" picked)
      if(best GREATER 0)
        list(APPEND ${picked} ${best})
      elseif(NOT DEFINED ${picked})
        # Another version of the line may have it.
        string(MAKE_C_IDENTIFIER "early_${domain}_${name}" early)
        list(APPEND earlies "${early}")
        set(${early} "${config}:${number}: operator '${name}' exists in versions ${${key}}, not in ${version}|${picked}")
      endif()
    endforeach()
    foreach(early IN LISTS earlies)
      string(REGEX MATCH "^(.*)[|](.*)$" _ "${${early}}")
      if(NOT DEFINED ${CMAKE_MATCH_2})
        message(FATAL_ERROR "${CMAKE_MATCH_1}")
      endif()
    endforeach()
  endif()

  set(declarations "")
  set(factories "")
  set(left_out "")
  set(sources "")
  foreach(row IN LISTS rows)
    string(REGEX MATCH "^(.*)[|](.*)[|](.*)[|](.*)[|](.*)$" _ "${row}")
    set(variant "${CMAKE_MATCH_1}")
    set(domain "${CMAKE_MATCH_2}")
    set(name "${CMAKE_MATCH_3}")
    set(since "${CMAKE_MATCH_4}")
    set(file "${CMAKE_MATCH_5}")
    string(MAKE_C_IDENTIFIER "picked_${domain}_${name}" picked)
    if(config AND NOT since IN_LIST ${picked})
      if(DEFINED ${picked})
        string(APPEND left_out "    {\"${domain}\", \"${name}\", ${since}},\n")
      endif()
      continue()
    endif()
    string(APPEND declarations "OpDef LinnetOp_${variant}_${name}_${since}();\n")
    string(APPEND factories "    LinnetOp_${variant}_${name}_${since},\n")
    list(APPEND sources ${file})
  endforeach()
  if(config)
    list(REMOVE_DUPLICATES sources)
  else()
    set(sources ${ARGN})  # with those that other operators' files share
  endif()
  set(text "// Generated from the LINNET_OP lines of src/ops. Do not edit.
#include \"ops/registry.h\"

namespace linnet {
${declarations}
namespace {
constexpr OpDef (*kFactories[])() = {
${factories}    nullptr};
constexpr OpName kLeftOut[] = {
${left_out}    {nullptr, nullptr, 0}};
}  // namespace

OpDef (*const* OperatorFactories())() { return kFactories; }
bool IsReducedBuild() { return ${reduced}; }
const OpName* VersionsLeftOut() { return kLeftOut; }

}  // namespace linnet
")
  file(CONFIGURE OUTPUT ${output} CONTENT "${text}" @ONLY)
  set(LINNET_OP_SOURCES ${sources} PARENT_SCOPE)
endfunction()
