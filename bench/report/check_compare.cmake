# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DTOOL=... -DDATA=... -DWORK=... -P check_compare.cmake: what nibble_report --compare calls
# slower, and its exit codes.
cmake_policy(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/check_lines.cmake")

# write_run(<file> <rows>...): with limits before
function(write_run file)
  string(CONCAT text "${limits}" ${ARGN})
  file(WRITE "${WORK}/${file}" "${text}")
endfunction()

set_row(base int4_g32_f16 nibble 1e-3 0.50)
write_run(base.jsonl "${base}")
expect(0 "0 slower, 0 faster, 1 the same" --compare base.jsonl base.jsonl)

# A machine twice as slow meanwhile: time says slower, the fraction that nothing changed.
set_row(row int4_g32_f16 nibble 2e-3 0.50 limit_value:20)
write_run(slow_machine.jsonl "${row}")
expect(0 "By fraction.*time x 2.000.*1 the same" --compare base.jsonl slow_machine.jsonl)
expect(1 "By time.*2.00 x as slow" --compare base.jsonl slow_machine.jsonl --by time)
expect(0 "2.00 x as fast" --compare slow_machine.jsonl base.jsonl --by time)

# On both sides of the threshold, in both directions.
set_row(row int4_g32_f16 nibble 1e-3 0.47)
write_run(six.jsonl "${row}")
expect(1 "slower than noise explains .1.:\n  int4_g32_f16, m = 1, 1 thread, integer, AVX2.*1.06 x as slow beside the limit"
  --compare base.jsonl six.jsonl)
expect(0 "faster than noise explains .1.*1.06 x as fast" --compare six.jsonl base.jsonl)
expect(0 "1 the same" --compare base.jsonl six.jsonl --threshold 7)
set_row(row int4_g32_f16 nibble 1e-3 0.48)
write_run(four.jsonl "${row}")
expect(0 "1 the same" --compare base.jsonl four.jsonl)
expect(1 "1 slower" --compare base.jsonl four.jsonl --threshold 3)

# Rows that scatter say less, or nothing.
set_row(row int4_g32_f16 nibble 1e-3 0.45 spread:0.12)
write_run(scattered.jsonl "${row}")
expect(0 "1 the same" --compare base.jsonl scattered.jsonl)
set_row(row int4_g32_f16 nibble 1e-3 0.25 spread:0.12)
write_run(scattered.jsonl "${row}")
expect(1 "2.00 x as slow" --compare base.jsonl scattered.jsonl)
foreach(how spread:0.3 disturbed:true)
  set_row(row int4_g32_f16 nibble 1e-3 0.25 ${how})
  write_run(disturbed.jsonl "${row}")
  expect(0 "too disturbed to say.*0 slower.*1 disturbed" --compare base.jsonl disturbed.jsonl)
endforeach()

# Several runs: one bad one of three does not matter, and what they differ by is noise.
set_row(row int4_g32_f16 nibble 1e-3 0.20)
write_run(outlier.jsonl "${row}")
expect(0 "1 the same" --compare base.jsonl,base.jsonl,base.jsonl outlier.jsonl,base.jsonl,four.jsonl)
expect(1 "1 slower" --compare base.jsonl,base.jsonl,base.jsonl outlier.jsonl,outlier.jsonl,outlier.jsonl)

# Peers that differ as much: it was the machine.
set(peers "")
set(slower_peers "")
foreach(i RANGE 1 9)
  set_row(row "format${i}" ggml 1e-3 0.50)
  string(APPEND peers "${row}")
  set_row(row "format${i}" ggml 1e-3 0.45)
  string(APPEND slower_peers "${row}")
endforeach()
set_row(row int4_g32_f16 nibble 1e-3 0.46)
write_run(with_peers.jsonl "${base}" "${peers}")
write_run(slower_peers.jsonl "${row}" "${slower_peers}")
expect(0 "differ by up to 11.1 %.*1 the same" --compare with_peers.jsonl slower_peers.jsonl)
write_run(same_peers.jsonl "${row}" "${peers}")
expect(1 "1 slower" --compare with_peers.jsonl same_peers.jsonl)

# A peer that is slower is not our fault.
write_run(slower_peers.jsonl "${base}" "${slower_peers}")
expect(0 "0 slower" --compare with_peers.jsonl slower_peers.jsonl)

# WRONG.
set_row(row int4_g32_f16 nibble 1e-3 0.50 wrong:true error:null)
write_run(wrong.jsonl "${row}")
expect(1 "wrong, and was not .1.*-> WRONG" --compare base.jsonl wrong.jsonl)
expect(0 "no longer wrong" --compare wrong.jsonl base.jsonl)

# Rows in one file only; a row that takes another path or another target is the same row.
set_row(other q4_K nibble 1e-3 0.50)
write_run(two.jsonl "${base}" "${other}")
expect(0 "only before .1.:\n  q4_K, m = 1" --compare two.jsonl base.jsonl)
expect(0 "only after .1.:\n  q4_K" --compare base.jsonl two.jsonl)
set_row(row int4_g32_f16 nibble 1e-3 0.25 path:\"exact\" target:\"AVX3\")
write_run(path.jsonl "${row}")
expect(1 "integer -> exact, AVX2 -> AVX3: 1 ms" --compare base.jsonl path.jsonl)
write_run(q4.jsonl "${other}")
expect(2 "nothing to compare" --compare base.jsonl q4.jsonl)

# Other limits, other bytes, another CPU: fractions say nothing.
foreach(how "limit:\"VNNI int8\"" bits:4.25)
  set_row(row int4_g32_f16 nibble 1e-3 0.1 ${how})
  write_run(incomparable.jsonl "${row}")
  expect(0 "By time: no fractions of the same limits.*1 the same"
    --compare base.jsonl incomparable.jsonl)
endforeach()
set_row(row int4_g32_f16 nibble 1e-3 0.25)
string(REPLACE "CPU A" "CPU B" text "${limits}${row}")
file(WRITE "${WORK}/other_cpu.jsonl" "${text}")
expect(0 "By time: the CPUs differ.*1 the same" --compare base.jsonl other_cpu.jsonl)
expect(1 "By fraction: as asked for.*1 slower" --compare base.jsonl other_cpu.jsonl --by fraction)

# Real rows.
expect(0 "0 slower, 0 faster, [0-9]+ the same" --compare "${DATA}/run.jsonl" "${DATA}/run.jsonl")

# Google Benchmark: repetitions or aggregates, CPU time unless the benchmark asked for another.
function(write_google file real cpu)
  file(WRITE "${WORK}/${file}" "{\"context\":{\"num_cpus\":2,\"mhz_per_cpu\":3000},\"benchmarks\":[\
    {\"name\":\"copy/q4_0\",\"run_name\":\"copy/q4_0\",\"run_type\":\"iteration\",\"real_time\":${real},\"cpu_time\":${cpu},\"time_unit\":\"us\"},\
    {\"name\":\"copy/q4_0\",\"run_name\":\"copy/q4_0\",\"run_type\":\"iteration\",\"real_time\":${real},\"cpu_time\":${cpu},\"time_unit\":\"us\"},\
    {\"name\":\"fill/manual_time_median\",\"run_name\":\"fill/manual_time\",\"run_type\":\"aggregate\",\"aggregate_name\":\"median\",\"real_time\":${real},\"cpu_time\":${cpu},\"time_unit\":\"ms\"},\
    {\"name\":\"fill/manual_time_stddev\",\"run_name\":\"fill/manual_time\",\"run_type\":\"aggregate\",\"aggregate_name\":\"stddev\",\"real_time\":0.01,\"cpu_time\":0.01,\"time_unit\":\"ms\"}]}\n")
endfunction()
write_google(google.json 5 4)
write_google(google_real.json 6 4)
write_google(google_cpu.json 5 5)
expect(0 "By time.*2 the same" --compare google.json google.json)
expect(1 "fill/manual_time: 5 ms -> 6 ms.*1 slower, 0 faster, 1 the same"
  --compare google.json google_real.json)
expect(1 "copy/q4_0: 0.004 ms -> 0.005 ms.*1 slower, 0 faster, 1 the same"
  --compare google.json google_cpu.json)
