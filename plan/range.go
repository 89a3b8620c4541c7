package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Range is a figure that nobody knows exactly: what it usually is, and between what it lies.
type Range struct {
	Low     float64 `json:"low"`
	Typical float64 `json:"typical"`
	High    float64 `json:"high"`
}

// Exactly is a figure that is known.
func Exactly(x float64) Range { return Range{x, x, x} }

// ParseRange reads 2, 1..3 (the middle is typical) or 1..1.5..3.
func ParseRange(text string) (Range, error) {
	parts := strings.Split(text, "..")
	numbers := make([]float64, 0, 3)
	for _, part := range parts {
		x, err := strconv.ParseFloat(strings.ReplaceAll(part, ",", ""), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return Range{}, fmt.Errorf("%q is not a number, as in 2, 1..3 or 1..1.5..3", part)
		}
		numbers = append(numbers, x)
	}
	if !slices.IsSorted(numbers) {
		return Range{}, fmt.Errorf("%s: the lowest comes first", text)
	}
	switch len(numbers) {
	case 1:
		return Exactly(numbers[0]), nil
	case 2:
		return Range{numbers[0], (numbers[0] + numbers[1]) / 2, numbers[1]}, nil
	case 3:
		return Range{numbers[0], numbers[1], numbers[2]}, nil
	default:
		return Range{}, errors.New(text + ": at most three numbers, as in 1..1.5..3")
	}
}

// String is what ParseRange reads.
func (r Range) String() string {
	f := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	if r.Low == r.High {
		return f(r.Low)
	}
	return f(r.Low) + ".." + f(r.Typical) + ".." + f(r.High)
}

// Set makes a range a flag.
func (r *Range) Set(text string) (err error) {
	*r, err = ParseRange(text)
	return err
}

// quantile is that of the triangular distribution with these corners.
func (r Range) quantile(p float64) float64 {
	width := r.High - r.Low
	if width <= 0 {
		return r.Typical
	}
	if peak := (r.Typical - r.Low) / width; p < peak {
		return r.Low + math.Sqrt(p*width*(r.Typical-r.Low))
	}
	return r.High - math.Sqrt((1-p)*width*(r.High-r.Typical))
}
