// Package browsertest has no code of its own. Its tests open the pages in a real browser,
// served by package storefront with package api behind it, on a box office in memory.
//
// They need a Chromium: BOXOFFICE_TEST_BROWSER names one (or says none), else they look
// for it on PATH. Without one they are skipped, and say so.
package browsertest
