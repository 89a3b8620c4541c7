package domain

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Needed returns an error that names a package's missing options: those that are nil or
// zero.
func Needed(of string, options map[string]any) error {
	var missing []string
	for name, value := range options {
		if value == nil || reflect.ValueOf(value).IsZero() {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("%s: options are missing %s", of, strings.Join(missing, ", "))
}
