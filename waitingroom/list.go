package waitingroom

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"boxoffice/domain"
)

// The list of a draw is an RFC 6962 tree. Its leaves are the tokens given out before the
// joins closed, by join index; only their hashes are ever shown. A token has 112 secret
// bits, so a hash reveals nothing about it. A join that no node of this release took has
// an empty leaf.
const (
	// tileLevel is the level below which no node of the tree is kept: a proof computes
	// that part again.
	tileLevel  = 10
	tileLeaves = 1 << tileLevel
	// listRowsMax is how much of the list is read at a time.
	listRowsMax = 2000
	// listGrowth is how many leaves one step adds before the joins are closed: about 10
	// ms of one core out of the 100 ms between steps.
	listGrowth  = 8192
	listTimeout = 5 * time.Second
	// listStep is how many leaves are added from one read, so that a node that stops need
	// not wait.
	listStep = 8 * listGrowth
	// proofsMax proofs are computed at a time: a millisecond or two each.
	proofsMax    = 4
	proofTimeout = 2 * time.Second
)

var treeHasher = rfc6962.DefaultHasher

// LeafHash is that of a token.
func LeafHash(token string) []byte { return treeHasher.HashLeaf([]byte(token)) }

// A list is what this node has computed of a draw's list. One goroutine at a time grows
// it. Once complete it is published and never changes.
type list struct {
	epochs []domain.QueueEpoch // a database that lost joins has a different list
	tree   *compact.Range
	levels [][]byte // the hashes of all perfect subtrees from tileLevel on, one after another
	root   []byte   // nil: not complete
}

var treeRanges = compact.RangeFactory{Hash: treeHasher.HashChildren}

func newList(epochs []domain.QueueEpoch) *list {
	return &list{epochs: epochs, tree: treeRanges.NewEmptyRange(0)}
}

func (l *list) size() int64 { return int64(l.tree.End()) }

func (l *list) add(leaf []byte) error {
	return l.tree.Append(leaf, func(id compact.NodeID, hash []byte) {
		if id.Level < tileLevel {
			return
		}
		level := int(id.Level - tileLevel)
		for len(l.levels) <= level {
			l.levels = append(l.levels, nil)
		}
		l.levels[level] = append(l.levels[level], hash...) // in the order of their indexes
	})
}

// complete computes the root.
func (l *list) complete() (err error) {
	if l.root, err = l.tree.GetRootHash(nil); err == nil && l.size() == 0 {
		l.root = treeHasher.EmptyRoot()
	}
	return err
}

func (l *list) is(q *domain.Queue) bool {
	return l != nil && l.root != nil && q.Draw.IsClosed() && l.size() == q.Draw.Closed && slices.Equal(l.epochs, q.Epochs)
}

// listing is the list of a room.
type listing struct {
	growing atomic.Bool // whoever set it owns l
	l       *list
	done    atomic.Pointer[list]
	wanted  atomic.Bool // somebody wants a proof after the draw
}

// root is the root of the closed list, if this node has computed it.
func (l *listing) root(q *domain.Queue) []byte {
	if q.Draw.Closed == 0 {
		return treeHasher.EmptyRoot()
	}
	if done := l.done.Load(); done.is(q) {
		return done.root
	}
	return nil
}

// due reports whether there is something to compute: people join, or the root is missing,
// or somebody wants a proof.
func (l *listing) due(s *snapshot) bool {
	if s.Draw.Version < domain.QueueDrawOfList || s.away || s.Draw.IsClosed() && s.Draw.Closed == 0 {
		return false
	}
	if s.Draw.Root != nil {
		return l.wanted.Load() && !l.done.Load().is(&s.Queue)
	}
	return !l.done.Load().is(&s.Queue)
}

// growList adds what has joined since, a part of it while the list is open, so that
// little is left to do when it closes.
func (r *Rooms) growList(ctx context.Context, of *room) {
	s := of.last.Load()
	to, most := s.Joined, int64(listGrowth)
	if s.Draw.IsClosed() {
		to, most = s.Draw.Closed, JoinsMax
	}
	l := of.list.l
	if l == nil || !slices.Equal(l.epochs, s.Epochs) || l.size() > to {
		l = newList(s.Epochs)
		of.list.l = l
	}
	to = min(to, l.size()+most)
	for l.size() < to && ctx.Err() == nil {
		if err := r.readList(ctx, of.sale, l, min(to, l.size()+listStep)); err != nil {
			r.o.Log.Warn("waiting room: cannot read the list of joins", "sale", of.sale, "err", err)
			of.list.l = nil
			return
		}
	}
	if !s.Draw.IsClosed() || l.size() < to || ctx.Err() != nil {
		return
	}
	if err := l.complete(); err != nil {
		r.o.Log.Error("waiting room: the list of joins has no root", "sale", of.sale, "err", err)
		return
	}
	of.list.l = nil
	of.list.done.Store(l)
}

// readList adds leaves from one read of the database.
func (r *Rooms) readList(ctx context.Context, sale string, l *list, to int64) error {
	next := l.size()
	rows, err := r.readJoins(ctx, sale, next)
	if err != nil {
		return err
	}
	if len(rows) < listRowsMax { // that is all: what follows was joined elsewhere
		rows = append(rows, domain.QueueJoins{First: to})
	}
	s := newSigner(r.o.Keys, sale)
	return eachLeaf(s, rows, next, to, l.add)
}

func (r *Rooms) readJoins(ctx context.Context, sale string, from int64) ([]domain.QueueJoins, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	return r.o.Store.QueueJoins(ctx, sale, from, listRowsMax)
}

// eachLeaf yields the leaves of join indexes from…to−1, as far as the rows go.
func eachLeaf(s *signer, rows []domain.QueueJoins, from, to int64, yield func(leaf []byte) error) error {
	for _, row := range rows {
		for ; from < min(row.First, to); from++ {
			if err := yield(treeHasher.HashLeaf(nil)); err != nil {
				return err
			}
		}
		for ; from < min(row.First+row.Joins, to); from++ {
			if err := yield(treeHasher.HashLeaf(s.sign(row.Epoch, from, row.JoinedAt))); err != nil {
				return err
			}
		}
	}
	return nil
}

// A Proof shows that a token is on the list of a draw.
type Proof struct {
	Sale  string
	Index int64    // of the leaf: the join index
	Size  int64    // of the list
	Leaf  []byte   // LeafHash of the token
	Path  [][]byte // RFC 6962 §2.1.1, from the leaf's sibling on
	Root  []byte
}

// Valid reports whether the proof belongs to its root.
func (p *Proof) Valid() bool {
	return p.Index >= 0 && p.Size > 0 && p.Size <= JoinsMax &&
		proof.VerifyInclusion(treeHasher, uint64(p.Index), uint64(p.Size), p.Leaf, p.Path, p.Root) == nil
}

// Proof shows that a token is on the list of its sale's draw.
//
// Errors: *domain.Error with CodeNotFound for a token that is not ours or not on the list
// (the detail says which); CodeOverloaded: try again.
func (r *Rooms) Proof(ctx context.Context, token string) (Proof, error) {
	of, s, c, err := r.look(ctx, token)
	switch {
	case err != nil:
		return Proof{}, err
	case s.Draw.Version < domain.QueueDrawOfList:
		return Proof{}, noProof("The draw of this sale has no list: it was set up before there were any.", 0)
	case !s.Draw.IsClosed():
		return Proof{}, noProof("The list is closed when the sale opens: ask again then.", bounded(s.OpensAt.Sub(s.now(r.mono()))))
	case c.index >= s.Draw.Closed:
		return Proof{}, noProof("This token joined after the opening, so it is not in the draw: it is let in by arrival.", 0)
	case s.Draw.Root == nil:
		return Proof{}, listing503()
	}
	select {
	case r.proofs <- struct{}{}:
		defer func() { <-r.proofs }()
	default:
		return Proof{}, listing503()
	}
	l, err := r.awaitList(ctx, of, s)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Sale: s.SaleID, Index: c.index, Size: s.Draw.Closed, Leaf: LeafHash(token), Root: s.Draw.Root}
	if p.Path, err = r.path(ctx, of.sale, l, c.index); err != nil {
		r.o.Log.Warn("waiting room: cannot compute a proof", "sale", of.sale, "index", c.index, "err", err)
		return Proof{}, listing503()
	}
	if !p.Valid() {
		return Proof{}, noProof("The list counts this place, but does not name its token: it was given out by a node of an earlier release.", 0)
	}
	return p, nil
}

func noProof(detail string, retryAfter time.Duration) *domain.Error {
	return &domain.Error{Code: domain.CodeNotFound, Detail: detail, RetryAfter: retryAfter}
}

func listing503() *domain.Error {
	return &domain.Error{Code: domain.CodeOverloaded, Detail: "The list of the draw is not ready here: try again in a moment.", RetryAfter: proofTimeout}
}

// awaitList waits until Run has computed the list, if this node had no reason to do so
// before.
func (r *Rooms) awaitList(ctx context.Context, of *room, s *snapshot) (*list, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	tick := time.NewTicker(ExchangeInterval / 2)
	defer tick.Stop()
	for {
		if l := of.list.done.Load(); l.is(&s.Queue) {
			return l, nil
		}
		of.list.wanted.Store(true)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, listing503()
		}
	}
}

// path computes the proof for an index. What is not kept of the tree comes from the
// database.
func (r *Rooms) path(ctx context.Context, sale string, l *list, index int64) ([][]byte, error) {
	nodes, err := proof.Inclusion(uint64(index), uint64(l.size()))
	if err != nil {
		return nil, err
	}
	tiles := map[int64][][]byte{}
	hashes := make([][]byte, 0, len(nodes.IDs))
	for _, id := range nodes.IDs {
		hash, err := r.nodeOf(ctx, sale, l, id, tiles)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return nodes.Rehash(hashes, treeHasher.HashChildren)
}

func (r *Rooms) nodeOf(ctx context.Context, sale string, l *list, id compact.NodeID, tiles map[int64][][]byte) ([]byte, error) {
	const hashLen = 32
	if id.Level >= tileLevel {
		level, at := int(id.Level-tileLevel), id.Index*hashLen
		if level >= len(l.levels) || at+hashLen > uint64(len(l.levels[level])) {
			return nil, errors.New("the tree is smaller than it claims")
		}
		return slices.Clone(l.levels[level][at : at+hashLen]), nil
	}
	begin, end := id.Coverage()
	tile := int64(begin) / tileLeaves
	leaves, ok := tiles[tile]
	if !ok {
		var err error
		if leaves, err = r.leaves(ctx, sale, tile*tileLeaves, min((tile+1)*tileLeaves, l.size())); err != nil {
			return nil, err
		}
		tiles[tile] = leaves
	}
	sub := treeRanges.NewEmptyRange(begin)
	for i := begin; i < end; i++ {
		nth := i - uint64(tile*tileLeaves)
		if nth >= uint64(len(leaves)) {
			return nil, errors.New("the list is shorter than it claims")
		}
		if err := sub.Append(leaves[nth], nil); err != nil {
			return nil, err
		}
	}
	return sub.Hashes()[0], nil // the subtree is perfect
}

// leaves computes the leaves from…to−1 of one tile: at most tileLeaves rows and one
// before.
func (r *Rooms) leaves(ctx context.Context, sale string, from, to int64) (leaves [][]byte, err error) {
	rows, err := r.readJoins(ctx, sale, from)
	if err != nil {
		return nil, err
	}
	rows = append(rows, domain.QueueJoins{First: to})
	err = eachLeaf(newSigner(r.o.Keys, sale), rows, from, to, func(leaf []byte) error {
		leaves = append(leaves, leaf)
		return nil
	})
	return leaves, err
}

const _ = uint(listRowsMax - tileLeaves - 1) // one read has all rows of a tile
