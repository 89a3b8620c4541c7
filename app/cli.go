package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// A usageError is a mistake on the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// ExitCode is the one that shells' own tools use.
func (usageError) ExitCode() int { return 2 }

// newFlags makes the flags of a command. Read them with parse.
func newFlags(command string) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // parse reports what is wrong
	flags.Usage = nil
	return flags
}

// parse reads the flags of a command that takes no arguments. It fails like
// parseWithArguments, and with a usageError if there are arguments.
func parse(flags *flag.FlagSet, args []string) error {
	if err := parseWithArguments(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return usageError{fmt.Sprintf("unexpected argument %q; boxoffice %s --help says what it takes", flags.Arg(0), flags.Name())}
	}
	return nil
}

// parseWithArguments reads a command's flags and leaves the arguments after them. It
// returns flag.ErrHelp once help is printed, or a usageError that names what is wrong and
// the nearest flag that exists.
func parseWithArguments(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, flag.ErrHelp):
		writeHelp(os.Stdout, flags)
		return err
	}
	name, isUnknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !isUnknown {
		return usageError{err.Error()}
	}
	var known []string
	flags.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	return usageError{fmt.Sprintf("unknown flag --%s%s; boxoffice %s --help lists its flags", name, didYouMean("--", name, known), flags.Name())}
}

func writeHelp(w io.Writer, flags *flag.FlagSet) {
	flags.SetOutput(w)
	defer flags.SetOutput(io.Discard)
	if flags.Usage != nil { // the command has its own
		flags.Usage()
	} else {
		fmt.Fprintf(w, "usage: boxoffice %s [flags]\n\n", flags.Name())
		flags.PrintDefaults()
	}
	if flags.Name() == "serve" {
		fmt.Fprintln(w)
		writeVariables(w)
		return
	}
	fmt.Fprint(w, "\nThe environment that it reads: boxoffice serve --help\n")
}

// didYouMean suggests the nearest known name, or nothing if none is near.
func didYouMean(prefix, typed string, known []string) string {
	best, least := "", max(2, len(typed)/3)+1
	for _, name := range slices.Sorted(slices.Values(known)) {
		if d := distance(typed, name); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s%s?)", prefix, best)
}

// distance is how many letters to insert, delete, change or swap with the next one to get
// from a to b (Damerau and Levenshtein, each letter once).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
