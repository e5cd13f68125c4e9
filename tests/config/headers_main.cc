// SPDX-License-Identifier: Apache-2.0 OR MIT
// Links the units that include each header: that they link is the test.
int main() { return 0; }
