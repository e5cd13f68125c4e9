# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DTOOL=... -DWORK=... -P check_inputs.cmake: what nibble_roofline says about wrong usage, and
# that it keeps to what it is asked for.
cmake_policy(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/../../examples/support/expect.cmake")

expect(0 "--formats" --help)
expect(2 "--no-such-option" --no-such-option)
expect(2 "--formats: no format of this program matches q4_9" --formats q4_0,q4_9)
expect(2 "--path" --path fast)
expect(2 "--target" --target Z80)
foreach(option threads m n k seconds)
  foreach(value 0 -1 x)
    expect(2 "--${option}" --${option} ${value})
  endforeach()
endforeach()
expect(2 "no_such_folder/x: cannot be written" --limits --json no_such_folder/x)

set(small --quick --formats f32 --threads 1 --seconds 0.01 --n 64 --k 64 --no-peers)
expect(0 "\n    3  1  " ${small} --m 3)
