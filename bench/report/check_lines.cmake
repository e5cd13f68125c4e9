# SPDX-License-Identifier: Apache-2.0 OR MIT
# For the checks of nibble_report: lines as nibble_roofline writes them, with chosen numbers.
include("${CMAKE_CURRENT_LIST_DIR}/../../examples/support/expect.cmake")

set(limits "{\"op\":\"limits\",\"cpu\":\"CPU A\",\"threads\":1,\"limits\":{\"read\":{\"best\":40,\"median\":39,\"unit\":\"GB/s\"},\"VNNI int8\":{\"best\":1000,\"median\":990,\"unit\":\"Gop/s\"}}}\n")

# set_row(<variable> <format> <library> <seconds> <fraction> [<key and value>...]): a line; later keys
# replace those before.
function(set_row variable format library seconds fraction)
  set(row "{}")
  foreach(pair "op:\"gemm\"" "format:\"${format}\"" "library:\"${library}\"" "path:\"integer\""
               "target:\"AVX2\"" "m:1" "n:4096" "k:4096" "threads:1" "bits:4.5" "error:0.007"
               "wrong:false" "median_s:${seconds}" "spread:0.01" "gops:90" "gbps:20"
               "limit:\"read\"" "limit_value:40" "fraction:${fraction}" ${ARGN})
    string(REGEX MATCH "^([a-z_]+):(.*)$" _ "${pair}")
    string(JSON row SET "${row}" ${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
  endforeach()
  string(REGEX REPLACE "\n *" "" row "${row}")
  set(${variable} "${row}\n" PARENT_SCOPE)
endfunction()
