// Command boxoffice sells tickets: `serve` runs the API, the storefront and the checkout
// worker. The other commands prepare, fill and check a running box office. Package app
// has all of it.
package main

import (
	"os"

	"boxoffice/app"
)

func main() { os.Exit(app.Program{}.Main(os.Args[1:])) }
