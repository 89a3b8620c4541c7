// Command boxoffice sells tickets: `serve` runs the API, the storefront and the
// checkout worker; the other commands prepare, fill and check a running one. All
// of it is in package app.
package main

import (
	"os"

	"boxoffice/app"
)

func main() { os.Exit(app.Program{}.Main(os.Args[1:])) }
