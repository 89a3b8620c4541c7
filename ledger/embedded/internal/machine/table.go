package machine

// tablePageRows is the number of rows in one page of a table: large enough that
// the page directory is small, small enough that growing never stalls.
const tablePageRows = 4096

// table is an append-only array of rows, found by their row number. It grows by
// a page at a time, so appending costs the same at ten rows and at ten million,
// and a row never moves.
type table[T any] struct {
	pages  []*[tablePageRows]T
	length uint32
}

func (t *table[T]) at(row uint32) *T {
	return &t.pages[row/tablePageRows][row%tablePageRows]
}

func (t *table[T]) push(value T) (row uint32) {
	row = t.length
	if int(row/tablePageRows) == len(t.pages) {
		t.pages = append(t.pages, new([tablePageRows]T))
	}
	*t.at(row) = value
	t.length++
	return row
}

// truncate drops the rows from length on. Their pages stay for later rows.
func (t *table[T]) truncate(length uint32) { t.length = length }

// prefix is a view of the rows that exist now. It stays valid while rows are
// appended, and may be read from another goroutine as long as those rows are
// not changed.
func (t *table[T]) prefix() table[T] {
	return table[T]{pages: t.pages[:len(t.pages):len(t.pages)], length: t.length}
}

// clone is a copy of the rows that exist now.
func (t *table[T]) clone() table[T] {
	c := table[T]{pages: make([]*[tablePageRows]T, len(t.pages)), length: t.length}
	for i, page := range t.pages {
		copied := *page
		c.pages[i] = &copied
	}
	return c
}
