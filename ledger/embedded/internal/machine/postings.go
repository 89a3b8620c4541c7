package machine

// postings are the rows that share a value of one field, in ascending order.
// Any number of lists lives in one postingPool; a list by itself is twelve bytes
// without pointers. Two rows are kept in the list itself, because most values of
// user_data occur once or twice: in a hold and in its post.
type postings struct {
	count uint32
	first uint32 // a row if count is 1 or 2; otherwise the first chunk
	last  uint32 // a row if count is 2; otherwise the last chunk
}

// A chunk is chunkHeader words, then up to its capacity rows. Chunks of a list
// double in size, so that short lists stay small and long ones are read in runs.
const (
	chunkPrevious = iota
	chunkNext
	chunkLength
	chunkCapacity
	chunkHeader

	chunkRowsMin  = 4
	chunkRowsMax  = 1020
	poolPageWords = 1 << 14
	poolPagesMax  = 1 << 18 // positions are 32 bits
	noChunk       = 0

	// poolPagesReserve is kept free: after a restart the same chunks may lie in other
	// pages, and leave more of them unused at their ends.
	poolPagesReserve = poolPagesMax / 16
	// poolChunksPerPage is how many chunks of the largest size fit in a page, at least.
	poolChunksPerPage = poolPageWords/(chunkHeader+chunkRowsMax) - 1
)

// postingPool is the memory of the chunks. Position zero is never a chunk.
type postingPool struct {
	pages []*[poolPageWords]uint32
	used  uint32 // words of the last page
}

// roomFor reports whether this many rows can be added, each to some list.
func (p *postingPool) roomFor(rows int) bool {
	return len(p.pages)+rows/poolChunksPerPage+1 <= poolPagesMax-poolPagesReserve
}

func (p *postingPool) chunk(position uint32) []uint32 {
	return p.pages[position/poolPageWords][position%poolPageWords:]
}

// allocate returns a chunk for capacity rows, linked behind previous.
func (p *postingPool) allocate(capacity, previous uint32) (position uint32) {
	words := chunkHeader + capacity
	if len(p.pages) == 0 || p.used+words > poolPageWords {
		p.used = 0
		if len(p.pages) == 0 {
			p.used = 1
		}
		p.pages = append(p.pages, new([poolPageWords]uint32))
	}
	assert(len(p.pages) <= poolPagesMax, "the indexes are full")
	position = uint32(len(p.pages)-1)*poolPageWords + p.used
	p.used += words
	c := p.chunk(position)
	c[chunkPrevious], c[chunkNext], c[chunkLength], c[chunkCapacity] = previous, noChunk, 0, capacity
	return position
}

// add appends a row, which must be greater than all before.
func (p *postingPool) add(list *postings, row uint32) {
	list.count++
	switch list.count {
	case 1:
		list.first = row
		return
	case 2:
		list.last = row
		return
	case 3:
		first, second := list.first, list.last
		list.first = p.allocate(chunkRowsMin, noChunk)
		list.last = list.first
		p.append(list, first)
		p.append(list, second)
	}
	p.append(list, row)
}

func (p *postingPool) append(list *postings, row uint32) {
	c := p.chunk(list.last)
	if c[chunkLength] == c[chunkCapacity] {
		next := p.allocate(min(2*c[chunkCapacity], chunkRowsMax), list.last)
		c[chunkNext] = next
		list.last = next
		c = p.chunk(next)
	}
	c[chunkHeader+c[chunkLength]] = row
	c[chunkLength]++
}

// cursor walks a list in one direction within a range of rows.
type cursor struct {
	pool     *postingPool
	within   rowRange
	reversed bool

	inline [2]uint32 // the rows of a short list in the order of the walk, or noRow
	chunk  uint32
	index  uint32 // of the next row in the chunk
}

// rowRange is the rows from first up to, not including, end.
type rowRange struct{ first, end uint32 }

func (r rowRange) contains(row uint32) bool { return row >= r.first && row < r.end }

// walk starts at the beginning of the range in its direction. It searches for that position
// from the nearer end of the list, chunk by chunk.
func (p *postingPool) walk(list postings, within rowRange, reversed bool) cursor {
	c := cursor{pool: p, within: within, reversed: reversed, inline: [2]uint32{noRow, noRow}, chunk: noChunk}
	switch {
	case list.count == 0, within.first >= within.end:
	case list.count == 1:
		c.inline[0] = list.first
	case list.count == 2 && reversed:
		c.inline = [2]uint32{list.last, list.first}
	case list.count == 2:
		c.inline = [2]uint32{list.first, list.last}
	case reversed:
		c.enter(p.locate(list, within.end-1, reversed))
	default:
		c.enter(p.locate(list, within.first, reversed))
	}
	return c
}

// locate finds the chunk in which a walk that starts at a row has its first one: the first
// chunk that ends at or after the row or, reversed, the last one that begins at or before
// it.
func (p *postingPool) locate(list postings, from uint32, reversed bool) (chunk uint32) {
	first, last := p.chunk(list.first)[chunkHeader], lastRow(p.chunk(list.last))
	switch {
	case !reversed && from > last, reversed && from < first:
		return noChunk
	case from <= first || from < last && from-first < last-from:
		// From the beginning.
		for chunk = list.first; lastRow(p.chunk(chunk)) < from; chunk = p.chunk(chunk)[chunkNext] {
		}
		if reversed && p.chunk(chunk)[chunkHeader] > from {
			chunk = p.chunk(chunk)[chunkPrevious]
		}
	default:
		for chunk = list.last; p.chunk(chunk)[chunkHeader] > from; chunk = p.chunk(chunk)[chunkPrevious] {
		}
		if !reversed && lastRow(p.chunk(chunk)) < from {
			chunk = p.chunk(chunk)[chunkNext]
		}
	}
	return chunk
}

func lastRow(chunk []uint32) uint32 { return chunk[chunkHeader+chunk[chunkLength]-1] }

func (c *cursor) enter(chunk uint32) {
	c.chunk = chunk
	c.index = 0
	if c.reversed && chunk != noChunk {
		c.index = c.pool.chunk(chunk)[chunkLength]
	}
}

// next returns the following row within the range.
func (c *cursor) next() (row uint32, ok bool) {
	for c.inline[0] != noRow {
		row, c.inline[0], c.inline[1] = c.inline[0], c.inline[1], noRow
		if c.within.contains(row) {
			return row, true
		}
	}
	for c.chunk != noChunk {
		row, ok = c.step()
		switch {
		case !ok:
		case c.within.contains(row):
			return row, true
		case c.reversed && row < c.within.first, !c.reversed && row >= c.within.end:
			c.chunk = noChunk
		}
	}
	return 0, false
}

// step moves one row on; at the end of a chunk it only enters the next one.
func (c *cursor) step() (row uint32, ok bool) {
	chunk := c.pool.chunk(c.chunk)
	if c.reversed {
		if c.index == 0 {
			c.enter(chunk[chunkPrevious])
			return 0, false
		}
		c.index--
		return chunk[chunkHeader+c.index], true
	}
	if c.index == chunk[chunkLength] {
		c.enter(chunk[chunkNext])
		return 0, false
	}
	c.index++
	return chunk[chunkHeader+c.index-1], true
}
