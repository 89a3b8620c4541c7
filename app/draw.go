package app

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"

	"boxoffice/waitingroom"
)

// drawPlace recomputes the draw of a sale's waiting room from what is public once
// it is drawn (GET /v1/sales/{sale}/queue): it needs no running box office, so
// that nobody has to be trusted.
func drawPlace(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("draw", flag.ExitOnError)
	sale := flags.String("sale", "", "the sale's id")
	seedHex := flags.String("seed", "", "draw.seed, revealed after the draw (hex)")
	commitment := flags.String("commitment", "", "draw.commitment, as it was published before the draw (hex)")
	size := flags.Int64("size", -1, "draw.size: how many took part")
	index := flags.Int64("index", -1, "the join index whose place to print; without it, all are printed in the order of the draw")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: boxoffice draw -sale ID -seed HEX -commitment HEX -size N [-index I]\nexit: 0 the seed is the one that was committed to; 1 it is not")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	seed, err := hex.DecodeString(*seedHex)
	switch {
	case err != nil || len(seed) == 0:
		return errors.New("-seed must be the revealed seed, in hexadecimal digits")
	case *sale == "" || *size < 0 || *size > waitingroom.JoinsMax:
		return fmt.Errorf("-sale and -size (0–%d) are required", waitingroom.JoinsMax)
	case waitingroom.Commitment(seed, *sale) != *commitment:
		return fmt.Errorf("the seed is not the one committed to: its SHA-256 with the sale's id is %s", waitingroom.Commitment(seed, *sale))
	case *index >= *size:
		return fmt.Errorf("index %d joined after the draw: its place is its index", *index)
	}
	fmt.Fprintln(os.Stderr, "The seed is the one that was committed to.")
	draw := waitingroom.NewPermutation(seed, *size)
	if *index >= 0 {
		_, err = fmt.Println(draw.Place(*index))
		return err
	}
	for place := range *size {
		if _, err := fmt.Println(draw.Index(place)); err != nil {
			return err
		}
	}
	return nil
}
