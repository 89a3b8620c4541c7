package migration_test

import (
	"slices"
	"testing"
	"testing/fstest"

	"boxoffice/migration"
)

func TestFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		names []string
		want  []string // nil: refused
	}{
		"in order":             {[]string{"0002_b.sql", "0001_a.sql"}, []string{"0001_a.sql", "0002_b.sql"}},
		"other files":          {[]string{"0001_a.sql", "README.md"}, []string{"0001_a.sql"}},
		"one is missing":       {[]string{"0001_a.sql", "0003_c.sql"}, nil},
		"a number comes twice": {[]string{"0001_a.sql", "0001_b.sql"}, nil},
		"no number":            {[]string{"first.sql"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for _, n := range tt.names {
				files["migrations/"+n] = &fstest.MapFile{Data: []byte(n)}
			}
			got, err := migration.Files(files)
			if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
