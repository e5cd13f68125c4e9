# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DTOOL=... -DWORK=... -DSOURCE_DIR=... -P check_inputs.cmake: what nibble_report says about
# files that are damaged or of another kind, and about wrong usage.
cmake_policy(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/check_lines.cmake")

expect(0 "Exit codes" --help)
expect(2 "either files to show" )
expect(2 "where to write the page" run.jsonl)
expect(2 "" --no-such-option)
expect(2 "either files to show" run.jsonl --compare a b)
expect(2 "" --compare a)
expect(2 "" --compare a b --by luck)
expect(2 "" --compare a b --threshold -1)
expect(2 "" --compare a b --threshold 5x)
expect(2 "--loss" --compare a b --loss c)
expect(2 "--by" run.jsonl -o x.html --by time)
expect(2 "no_such_file.jsonl: cannot be read" no_such_file.jsonl -o x.html)
expect(2 "cannot be read" "${WORK}" -o x.html)

# expect_bad(<regular expression> <text of the file>): for a page and in a comparison
function(expect_bad message text)
  file(WRITE "${WORK}/bad.jsonl" "${text}")
  expect(2 "${message}" bad.jsonl -o x.html)
  expect(2 "${message}" --compare bad.jsonl bad.jsonl)
endfunction()

set_row(row int4_g32_f16 nibble 1e-3 0.5)
expect_bad("bad.jsonl: the file is empty" "")
expect_bad("bad.jsonl: no rows of results\n" "\n\n")
expect_bad("bad.jsonl: no rows of results, only limits" "${limits}")
expect_bad("bad.jsonl:1: not a line of JSON" "This is no JSON at all.\n")
expect_bad("bad.jsonl:1: not a JSON object" "[1, 2]\n")
expect_bad("bad.jsonl:1: 'op' is missing" "{}\n")
string(LENGTH "${row}" length)
math(EXPR length "${length} - 20")
string(SUBSTRING "${row}" 0 ${length} half)
expect_bad("bad.jsonl:3: not a line of JSON" "${limits}${row}${half}")
string(ASCII 1 2 3 127 bell)
expect_bad("bad.jsonl:1: not a line of JSON: [ -~\n]*$" "\"${bell}\n")
string(ASCII 255 254 bytes)
expect_bad("bad.jsonl:1: not a line of JSON" "{\"op\":\"${bytes}\"}\n")

# Each key: missing, null, of another type, impossible.
foreach(key op format library m n k threads bits median_s spread gops gbps limit limit_value fraction)
  string(JSON without REMOVE "${row}" ${key})
  string(REGEX REPLACE "\n *" "" without "${without}")
  expect_bad("bad.jsonl:2: '${key}' is missing" "${limits}${without}\n")
  set_row(bad int4_g32_f16 nibble 1e-3 0.5 ${key}:null)
  expect_bad("bad.jsonl:2: '${key}' is null" "${limits}${bad}")
  set_row(bad int4_g32_f16 nibble 1e-3 0.5 ${key}:true)
  expect_bad("bad.jsonl:2: '${key}' is not a (number|string)" "${limits}${bad}")
endforeach()
foreach(key m n k threads bits median_s gops gbps limit_value fraction)
  foreach(value 0 -1 1e200)
    set_row(bad int4_g32_f16 nibble 1e-3 0.5 ${key}:${value})
    expect_bad("bad.jsonl:2: '${key}' is [-0-9.e+]+, (which cannot be|not a number of things)"
      "${limits}${bad}")
  endforeach()
endforeach()
set_row(bad int4_g32_f16 nibble 1e-3 0.5 m:1.5)
expect_bad("bad.jsonl:2: 'm' is 1.5, not a number of things" "${limits}${bad}")
foreach(number NaN Infinity 1e999)  # no JSON
  string(REGEX REPLACE "\"fraction\" : 0.5" "\"fraction\":${number}" bad "${row}")
  expect_bad("bad.jsonl:2: not a line of JSON" "${limits}${bad}")
endforeach()
expect_bad("bad.jsonl:1: 'limits' is missing" "{\"op\":\"limits\",\"cpu\":\"A\",\"threads\":1}\n${row}")
expect_bad("bad.jsonl:1: limit 'read': 'best' is missing"
  "{\"op\":\"limits\",\"cpu\":\"A\",\"threads\":1,\"limits\":{\"read\":{\"unit\":\"GB/s\"}}}\n${row}")

# What does not matter: unknown keys, Windows' line ends, empty lines, no limits.
set_row(good int4_g32_f16 nibble 1e-3 0.5 "colour:{\"of\":\"money\"}")
string(REPLACE "\n" "\r\n" good "\n${good}\n")
file(WRITE "${WORK}/good.jsonl" "${good}")
expect(0 "1 the same" --compare good.jsonl good.jsonl)

# Google Benchmark's.
expect_bad("'benchmarks' is not an array" "{\"benchmarks\":3}")
expect_bad("no rows of results" "{\"benchmarks\":[]}")
expect_bad("bad.jsonl: benchmark 1: 'cpu_time' is missing" "{\"benchmarks\":[{\"name\":\"a\"}]}")
expect_bad("'time_unit' is 'h'" "{\"benchmarks\":[{\"name\":\"a\",\"cpu_time\":1,\"time_unit\":\"h\"}]}")
file(WRITE "${WORK}/google.json" "{\"benchmarks\":[{\"name\":\"a\",\"cpu_time\":1}]}")
expect(2 "can be compared" google.json -o x.html)

# Tables of losses.
file(WRITE "${WORK}/run.jsonl" "${limits}${row}")
function(expect_bad_loss message text)
  file(WRITE "${WORK}/bad_loss" "${text}")
  expect(2 "${message}" run.jsonl -o x.html --loss bad_loss)
endfunction()
expect(2 "no_such_file: cannot be read" run.jsonl -o x.html --loss no_such_file)
expect_bad_loss("bad_loss: the file is empty" "")
expect_bad_loss("bad_loss: 'formats' is no array" "{\"formats\":{}}")
expect_bad_loss("bad_loss: format 1: 'name' is missing" "{\"formats\":[{}]}")
expect_bad_loss("bad_loss: format 1: 'sqnr_db' is not a number"
  "{\"formats\":[{\"name\":\"q4_K\",\"sqnr_db\":\"high\"}]}")
expect_bad_loss("bad_loss: no format with a loss" "{\"formats\":[{\"name\":\"f16\",\"sqnr_db\":null}]}")
expect_bad_loss("bad_loss:1: no column 'format'" "{\"formats\":[{\"na")
expect_bad_loss("bad_loss:2: 2 cells, the heading has 3" "format,path,loss_percent\nq4_K,automatic\n")
expect_bad_loss("bad_loss:2: loss_percent is not a number"
  "format,path,loss_percent\nq4_K,automatic,much\n")

# No gnuplot: a message that says what to do, and no half of a page.
file(REMOVE "${WORK}/x.html")
expect(3 "cannot run 'no-such-gnuplot'.*apt-get install gnuplot" run.jsonl -o x.html
  --gnuplot no-such-gnuplot)
set(path "$ENV{PATH}")
set(ENV{PATH} "${WORK}/no_such_folder")
expect(3 "cannot run 'gnuplot'.*plots are drawn by gnuplot" run.jsonl -o x.html)
expect(0 "1 the same" --compare run.jsonl run.jsonl)  # text needs none
set(ENV{PATH} "${path}")
expect(3 "'false' failed" run.jsonl -o x.html --gnuplot false)
if(EXISTS "${WORK}/x.html")
  message(SEND_ERROR "a page was written without plots")
endif()
