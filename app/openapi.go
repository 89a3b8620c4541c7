package app

import (
	"context"
	"fmt"
	"os"

	"boxoffice/api"
)

// printOpenAPI prints the contract, so that nobody needs a running box office to read it.
func printOpenAPI(_ context.Context, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	document, err := api.Document("")
	if err == nil {
		_, err = os.Stdout.Write(append(document, '\n'))
	}
	return err
}
