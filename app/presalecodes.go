package app

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// presaleCodesPerRequest keeps answers small, and limits what is lost if one does not
// arrive.
const presaleCodesPerRequest = 1000

// presaleCodes creates presale codes for a sale and prints them as they come, one a line.
// It can also read codes, one a line, to import or revoke them.
func presaleCodes(ctx context.Context, args []string) error {
	flags := newFlags("presale-codes")
	sale := flags.String("sale", "", "the sale's id")
	count := flags.Int("count", 0, "how many codes to make and print")
	add := flags.Bool("add", false, "read your own codes from standard input, one a line")
	revoke := flags.Bool("revoke", false, "read codes from standard input, one a line, and revoke them")
	revokeBatch := flags.String("revoke-batch", "", "revoke all codes of a batch")
	places := flags.Int("places", 1, "how many places each code is good for, 1–1000")
	batch := flags.String("batch", "", "a name by which to count and revoke the codes; default: a generated one, printed to standard error")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: boxoffice presale-codes -sale ID (-count N | -add | -revoke | -revoke-batch NAME) [-places N] [-batch NAME]")
		flags.PrintDefaults()
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	c, err := organiserConfig()
	if err != nil {
		return err
	}
	if *sale == "" {
		return errors.New("-sale is required")
	}
	o := codesOf{config: c, sale: *sale, places: *places, batch: *batch, out: os.Stdout, progress: os.Stderr}
	if o.batch == "" {
		o.batch = "b-" + rand.Text()[:10]
	}
	switch {
	case *count > 0 && !*add && !*revoke && *revokeBatch == "":
		return o.make(ctx, *count)
	case *add && *count == 0 && !*revoke && *revokeBatch == "":
		return o.add(ctx, os.Stdin)
	case *revoke && *count == 0 && !*add && *revokeBatch == "":
		return o.revoke(ctx, os.Stdin)
	case *revokeBatch != "" && *count == 0 && !*add && !*revoke:
		return o.revokeBatch(ctx, *revokeBatch)
	default:
		return errors.New("one of -count, -add, -revoke and -revoke-batch is required")
	}
}

// codesOf works on the codes of one sale.
type codesOf struct {
	config
	sale, batch   string
	places        int
	out, progress io.Writer
}

func (o *codesOf) ask(ctx context.Context, path string, body, into any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	content, err = o.postAsOrganiser(ctx, "/v1/sales/"+url.PathEscape(o.sale)+path, content)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, into)
}

func (o *codesOf) make(ctx context.Context, count int) error {
	fmt.Fprintf(o.progress, "batch %s\n", o.batch)
	out := bufio.NewWriter(o.out)
	for made := 0; made < count; {
		var answer struct{ Codes []string }
		err := o.ask(ctx, "/presale-codes", map[string]any{"count": min(count-made, presaleCodesPerRequest), "places": o.places, "batch": o.batch}, &answer)
		if err == nil && len(answer.Codes) == 0 {
			err = errors.New("the answer has no codes")
		}
		if err != nil {
			return fmt.Errorf("%d of %d codes were made and printed; make the rest with -count %d -batch %s: %w", made, count, count-made, o.batch, err)
		}
		for _, code := range answer.Codes {
			fmt.Fprintln(out, code)
		}
		if err := out.Flush(); err != nil { // codes that cannot be printed are lost: nobody can read them again
			return fmt.Errorf("codes were made that could not be written: revoke the batch %s: %w", o.batch, err)
		}
		made += len(answer.Codes)
	}
	return nil
}

func (o *codesOf) add(ctx context.Context, in io.Reader) error {
	made, read := 0, 0
	err := inParts(in, func(codes []string) error {
		var answer struct{ Made int }
		err := o.ask(ctx, "/presale-codes", map[string]any{"codes": codes, "places": o.places, "batch": o.batch}, &answer)
		if err != nil {
			return fmt.Errorf("in the lines from %d on: %w", read+1, err)
		}
		made, read = made+answer.Made, read+len(codes)
		return nil
	})
	fmt.Fprintf(o.progress, "batch %s: %d codes, of which %d are new\n", o.batch, read, made)
	return err
}

func (o *codesOf) revoke(ctx context.Context, in io.Reader) error {
	var revoked int64
	err := inParts(in, func(codes []string) error {
		var answer struct{ Revoked int64 }
		err := o.ask(ctx, "/entitlements/revoke", map[string]any{"codes": codes}, &answer)
		revoked += answer.Revoked
		return err
	})
	fmt.Fprintf(o.progress, "%d codes revoked\n", revoked)
	return err
}

func (o *codesOf) revokeBatch(ctx context.Context, batch string) error {
	var answer struct{ Revoked int64 }
	if err := o.ask(ctx, "/entitlements/revoke", map[string]any{"batch": batch}, &answer); err != nil {
		return err
	}
	fmt.Fprintf(o.progress, "%d codes revoked\n", answer.Revoked)
	return nil
}

// inParts reads lines and hands them over in parts of n. It skips empty lines.
func inParts(in io.Reader, part func(lines []string) error) error {
	lines := bufio.NewScanner(in)
	var some []string
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			some = append(some, line)
		}
		if len(some) == presaleCodesPerRequest {
			if err := part(some); err != nil {
				return err
			}
			some = nil
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(some) == 0 {
		return nil
	}
	return part(some)
}
