// Package failpoint marks the places where a fault test (docs/chaos.md) kills
// the process, fills its disk or moves its clock: between an effect and its
// acknowledgement, where nothing from the outside can hit.
//
// It is not a debug mode. Without the build tag "failpoints" every function here is
// empty and inlined away, and Clock is time.Now: a release has nothing to arm.
// With the tag, the files of the directory that BOXOFFICE_FAILPOINTS names arm
// it:
//
//	kill/<name>    a number n: the process that hits the point the n-th time
//	               kills itself (SIGKILL), once; the file then moves to fired/
//	fail/<name>    Fail answers ENOSPC for as long as the file is there
//	clock/<name>   a duration: how far that clock is off
//
// A point's name is its part and step, and :before or :after the effect, such as
// ledger.create_transfers:after.
package failpoint

// Variable is the environment variable that names the directory.
const Variable = "BOXOFFICE_FAILPOINTS"
