package app

import (
	"context"
	"os"

	"boxoffice/api"
)

// printOpenAPI prints the contract, so that nobody needs a running box office to read it.
func printOpenAPI(_ context.Context, args []string) error {
	if err := parse(newFlags("openapi"), args); err != nil {
		return err
	}
	document, err := api.Document("")
	if err == nil {
		_, err = os.Stdout.Write(append(document, '\n'))
	}
	return err
}
