// Package migration reads the numbered SQL files that bring an adapter's schema forward.
// It runs none of them: the adapter decides when, in which transaction and behind which
// lock.
package migration

import (
	"fmt"
	"io/fs"
)

// Files reads migrations/0001_….sql and so on, in order: file n brings the schema
// from version n−1 to n. The error names a file that is out of sequence or cannot be
// read.
func Files(files fs.FS) ([]string, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var sqls []string
	for i, name := range names {
		var number int
		if _, err := fmt.Sscanf(name, "migrations/%04d_", &number); err != nil || number != i+1 {
			return nil, fmt.Errorf("%s is not migration %d", name, i+1)
		}
		sql, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		sqls = append(sqls, string(sql))
	}
	return sqls, nil
}
