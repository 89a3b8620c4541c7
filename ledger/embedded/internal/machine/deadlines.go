package machine

import "container/heap"

// deadlines orders the pending transfers by their deadline. Transfers of one
// timeout end in the order in which they were created, so each timeout has a
// plain queue (four bytes a transfer), and only the heads of the queues are in a
// heap. A transfer that is posted or voided stays in its queue until its
// deadline passes: cheaper than finding it.
type deadlines struct {
	byTimeout map[uint32]*deadlineQueue
	heads     deadlineHeap
}

type deadlineQueue struct {
	timeout   uint32
	expiresAt uint64 // of the first row
	rows      []uint32
}

func newDeadlines() deadlines { return deadlines{byTimeout: map[uint32]*deadlineQueue{}} }

// watch adds a pending transfer with a timeout.
func (m *Machine) watch(row uint32) {
	t := m.transfers.at(row)
	d := &m.deadlines
	if q, ok := d.byTimeout[t.timeout]; ok {
		q.rows = append(q.rows, row)
		return
	}
	q := &deadlineQueue{timeout: t.timeout, expiresAt: t.expiresAt(), rows: []uint32{row}}
	d.byTimeout[t.timeout] = q
	heap.Push(&d.heads, q)
}

// popDue takes out the transfer with the earliest deadline, if that is at or
// before timestamp.
func (m *Machine) popDue(timestamp uint64) (row uint32, due bool) {
	d := &m.deadlines
	if len(d.heads) == 0 || d.heads[0].expiresAt > timestamp {
		return 0, false
	}
	q := d.heads[0]
	row = q.rows[0]
	q.rows = q.rows[1:]
	if len(q.rows) == 0 {
		delete(d.byTimeout, q.timeout)
		heap.Pop(&d.heads)
		return row, true
	}
	q.expiresAt = m.transfers.at(q.rows[0]).expiresAt()
	heap.Fix(&d.heads, 0)
	return row, true
}

// deadlineHeap is by deadline, then by creation.
type deadlineHeap []*deadlineQueue

func (h deadlineHeap) Len() int { return len(h) }

func (h deadlineHeap) Less(i, j int) bool {
	if h[i].expiresAt != h[j].expiresAt {
		return h[i].expiresAt < h[j].expiresAt
	}
	return h[i].rows[0] < h[j].rows[0]
}

func (h deadlineHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *deadlineHeap) Push(q any) { *h = append(*h, q.(*deadlineQueue)) }

func (h *deadlineHeap) Pop() any {
	last := len(*h) - 1
	q := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return q
}
