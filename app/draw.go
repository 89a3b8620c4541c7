package app

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"boxoffice/api"
	"boxoffice/beacon"
	"boxoffice/waitingroom"
)

const drawUsage = `usage: boxoffice draw -record FILE [-before FILE] [-token TOKEN [-proof FILE]] [-chain FILE]
       boxoffice draw -sale ID -seed HEX -commitment HEX -size N [-index I]    (draws of version 1)

FILE is what the box office answered, "-" standard input:
  -record and -before   GET /v1/sales/{sale}/queue, after the draw and some time before it
  -proof                GET /v1/queue/{token}/proof
  -chain                GET {a drand server}/{chain}/info, where the chain is not drand's quicknet
It prints the place of the token or index, or without one all join indexes in the order of the draw.
exit: 0 all that could be checked is right; 1 something is wrong; 3 it could not be checked`

// drawFileBytesMax is larger than any draw's record or proof.
const drawFileBytesMax = 64 << 10

type drawFlags struct {
	sale, seed, commitment       string
	size, index                  int64
	record, before, proof, chain string
	token                        string

	published api.QueueView // of -record
}

// drawPlace checks and recomputes the draw of a sale's waiting room from what is public
// once it is drawn. It needs no running box office, so nobody has to be trusted.
func drawPlace(_ context.Context, args []string) error {
	var f drawFlags
	flags := newFlags("draw")
	flags.StringVar(&f.record, "record", "", "the API's answer about the sale's queue after the draw")
	flags.StringVar(
		&f.before,
		"before",
		"",
		"the same answer, kept from before the draw; best from after the opening, when the list was closed, and before the beacon's round came out",
	)
	flags.StringVar(&f.token, "token", "", "your place's token")
	flags.StringVar(&f.proof, "proof", "", "the proof that the token is on the list")
	flags.StringVar(&f.chain, "chain", "", "the info of the beacon's chain")
	flags.StringVar(&f.sale, "sale", "", "the sale's id")
	flags.StringVar(&f.seed, "seed", "", "draw.seed, revealed after the draw (hex)")
	flags.StringVar(&f.commitment, "commitment", "", "draw.commitment, published before the draw (hex)")
	flags.Int64Var(&f.size, "size", -1, "draw.size: how many took part")
	flags.Int64Var(&f.index, "index", -1, "the join index whose place to print")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), drawUsage)
		flags.PrintDefaults()
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	draw, size, err := f.draw()
	if err != nil {
		return drawError(err)
	}
	index, err := f.ownIndex(size)
	if err != nil {
		return drawError(err)
	}
	if index >= 0 {
		_, err = fmt.Println(draw.Place(index))
		return err
	}
	for place := range size {
		if _, err := fmt.Println(draw.Index(place)); err != nil {
			return err
		}
	}
	return nil
}

// drawError separates what is wrong from what could not be checked, also in the exit
// code.
func drawError(err error) error {
	if errors.Is(err, waitingroom.ErrUnchecked) {
		return blindError{err}
	}
	return err
}

// draw checks everything that it is given, and returns the order of the draw.
func (f *drawFlags) draw() (*waitingroom.Permutation, int64, error) {
	if f.record == "" {
		return f.drawBySeed()
	}
	record := &f.published
	if err := readAnswer(f.record, record); err != nil {
		return nil, 0, err
	}
	if kept := cmp.Or(f.commitment, record.Draw.Commitment); kept != record.Draw.Commitment {
		return nil, 0, fmt.Errorf("the commitment is %s now, and -commitment is another", record.Draw.Commitment)
	}
	f.size = sizeOf(record)
	switch record.Draw.Version {
	case 1:
		if record.Draw.Seed == "" {
			return nil, 0, fmt.Errorf("%w: the places are not drawn yet", waitingroom.ErrUnchecked)
		}
		f.sale, f.seed, f.commitment = record.Sale, record.Draw.Seed, record.Draw.Commitment
		return f.drawBySeed()
	case 2:
	default:
		return nil, 0, fmt.Errorf("%w: a draw of version %d needs a newer boxoffice", waitingroom.ErrUnchecked, record.Draw.Version)
	}
	chain := beacon.Quicknet()
	if f.chain != "" {
		var err error
		if chain, err = readChain(f.chain); err != nil {
			return nil, 0, fmt.Errorf("%w: -chain: %w", waitingroom.ErrUnchecked, err)
		}
		say("The chain is the file's. You decide whether to trust its members.")
	}
	evidence := evidenceOf(record)
	p, found, err := evidence.Draw(chain)
	for _, sentence := range found {
		say(sentence)
	}
	if err != nil {
		return nil, 0, err
	}
	if f.before == "" {
		return p, evidence.Size, nil
	}
	var before api.QueueView
	if err := readAnswer(f.before, &before); err != nil {
		return nil, 0, err
	}
	if err := evidence.Agrees(evidenceOf(&before)); err != nil {
		return nil, 0, err
	}
	if before.Draw.Root == "" {
		say("What you kept agrees with it. The list was open then: keep the answer from after the opening to know that it did not change later.")
	} else {
		say("What you kept agrees with it, the list included.")
	}
	return p, evidence.Size, nil
}

func say(sentence string) { fmt.Fprintln(os.Stderr, sentence) }

func readAnswer(path string, into any) error {
	data, err := readBounded(path, drawFileBytesMax)
	if err != nil {
		return fmt.Errorf("%w: %w", waitingroom.ErrUnchecked, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %s is not an answer of a box office: %w", waitingroom.ErrUnchecked, path, err)
	}
	return nil
}

func sizeOf(q *api.QueueView) int64 {
	if q.Draw.Size == nil {
		return -1
	}
	return *q.Draw.Size
}

func evidenceOf(q *api.QueueView) *waitingroom.Evidence {
	d := &q.Draw
	e := &waitingroom.Evidence{
		Sale: q.Sale, Commitment: d.Commitment, Seed: d.Seed, Size: sizeOf(q), Root: d.Root, Source: d.Source, Waived: d.Waived,
	}
	if d.PublishedAt != nil {
		e.RootAt = *d.PublishedAt
	}
	if b := d.Beacon; b != nil {
		e.BeaconChain, e.BeaconNamed, e.BeaconRound, e.BeaconSignature = b.Chain, b.NamedRound, b.Round, b.Signature
	}
	if w := d.Witness; w != nil {
		e.WitnessCommitment, e.WitnessSecret = w.Commitment, w.Secret
	}
	return e
}

// ownIndex is the index of the token, checked against its proof, or that of -index; -1:
// neither is given.
func (f *drawFlags) ownIndex(size int64) (int64, error) {
	if f.token == "" {
		if f.index >= size {
			return 0, fmt.Errorf("index %d joined after the draw: its place is its index", f.index)
		}
		return f.index, nil
	}
	index, ok := waitingroom.TokenIndex(f.token)
	switch {
	case !ok:
		return 0, fmt.Errorf("%w: -token is no token of a waiting room", waitingroom.ErrUnchecked)
	case index >= size:
		return 0, fmt.Errorf("%w: the token joined after the draw, so its place is %d", waitingroom.ErrUnchecked, index)
	case f.proof == "":
		say("Whether the token is on the list was not checked: GET /v1/queue/{token}/proof answers the proof, see -proof.")
		return index, nil
	case f.published.Draw.Root == "":
		return 0, fmt.Errorf("%w: this draw has no list", waitingroom.ErrUnchecked)
	}
	var answer api.ListProofView
	if err := readAnswer(f.proof, &answer); err != nil {
		return 0, err
	}
	proof := waitingroom.Proof{Index: index, Size: size, Leaf: waitingroom.LeafHash(f.token)}
	var err error
	if proof.Root, err = hex.DecodeString(f.published.Draw.Root); err != nil {
		return 0, fmt.Errorf("%w: the root is not in hexadecimal digits", waitingroom.ErrUnchecked)
	}
	for _, text := range answer.Path {
		hash, err := hex.DecodeString(text)
		if err != nil {
			return 0, fmt.Errorf("%w: the proof is not in hexadecimal digits", waitingroom.ErrUnchecked)
		}
		proof.Path = append(proof.Path, hash)
	}
	if !proof.Valid() {
		return 0, fmt.Errorf("the proof does not show that the token is on the list, as join %d of %d", index, size)
	}
	say(fmt.Sprintf("The token is on the list, as join %d of %d.", index, size))
	return index, nil
}

// drawBySeed recomputes a draw of version 1, which the seed alone determines.
func (f *drawFlags) drawBySeed() (*waitingroom.Permutation, int64, error) {
	seed, err := hex.DecodeString(f.seed)
	switch {
	case err != nil || len(seed) == 0:
		return nil, 0, errors.New("-seed must be the revealed seed, in hexadecimal digits")
	case f.sale == "" || f.size < 0 || f.size > waitingroom.JoinsMax:
		return nil, 0, fmt.Errorf("-sale and -size (0–%d) are required", waitingroom.JoinsMax)
	case waitingroom.Commitment(seed, f.sale) != f.commitment:
		return nil, 0, fmt.Errorf("the seed is not the one committed to: its SHA-256 with the sale's id is %s", waitingroom.Commitment(seed, f.sale))
	}
	say("The seed is the one that was committed to.")
	return waitingroom.NewPermutation(seed, f.size), f.size, nil
}
