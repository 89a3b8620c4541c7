package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"boxoffice/deploy/devstack/internal/datadir"
	"boxoffice/deploy/devstack/internal/tigerbeetle"
)

// books names the two places where the state of a data directory is kept. Mixing orders
// and holds that do not belong together is worse than having no state: the audit fails,
// and tickets are sold twice.
type books struct {
	Ledger   string `json:"ledger"`
	Database string `json:"database"`
}

const ownDatabase = "own"

func ledgerBook(kind tigerbeetle.Kind, addresses, cluster string) string {
	switch kind {
	case tigerbeetle.Given:
		return "tigerbeetle " + addresses + " cluster " + cluster
	case tigerbeetle.Own:
		return "tigerbeetle cluster " + cluster
	case tigerbeetle.Postgres:
		return "postgres"
	default:
		return "embedded"
	}
}

// ChangedBooksError says that this start would mix the state with somebody else's.
type ChangedBooksError struct {
	What, Before, Now, Back string
}

func (e *ChangedBooksError) Error() string {
	return fmt.Sprintf("the state in this data directory was made with the %s %q, and this start would use %q: the two keep "+
		"different books. Go back with %s; or start from nothing with make clean; or, where it is the same one under another "+
		"name, pass --adopt", e.What, e.Before, e.Now, e.Back)
}

// check compares with the previous start; the first start has nothing to compare.
func (b books) check(before books) error {
	if before.Ledger != "" && before.Ledger != b.Ledger {
		back := "make run LEDGER=" + before.Ledger
		if before.Ledger != string(tigerbeetle.Embedded) && before.Ledger != string(tigerbeetle.Postgres) {
			back = fmt.Sprintf("the same tigerbeetle on PATH, or the same %s, and LEDGER=auto", varTBAddress)
		}
		return &ChangedBooksError{"ledger", before.Ledger, b.Ledger, back}
	}
	if before.Database != "" && before.Database != b.Database {
		back := varDatabase + " set to that server"
		if before.Database == ownDatabase {
			back = varDatabase + " unset"
		}
		return &ChangedBooksError{"database", before.Database, b.Database, back}
	}
	return nil
}

func readBooks(path string) (books, error) {
	var b books
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("%s is damaged; restore it, or start from nothing with make clean", path)
	}
	return b, nil
}

func (b books) write(path string) error {
	raw, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return datadir.WriteFile(path, append(raw, '\n'), 0o644)
}
