package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// pastSales are made: demand over several magnitudes, of which a varying share has joined.
func pastSales(n int, noise float64, seed uint64) []PastSale {
	random := rand.New(rand.NewPCG(seed, 0))
	sales := make([]PastSale, n)
	for i := range sales {
		came := math.Exp(9 + 1.5*random.NormFloat64())
		sales[i] = PastSale{Joined: int64(came * 0.3 * math.Exp(noise*random.NormFloat64())), Came: int64(came)}
	}
	return sales
}

// Where demand is in proportion to joins, the forecast finds the proportion.
func TestAForecastFindsTheProportion(t *testing.T) {
	f := ForecastDemand([]PastSale{{100, 500}, {200, 1000}, {400, 2000}, {800, 4000}, {1600, 8000}, {3200, 16_000}}, 1000)
	if f.Method != ByJoins || f.Sales != 6 || math.Abs(f.Slope-1) > 1e-6 || math.Abs(f.Buyers.Typical-5000) > 1 || f.Beyond {
		t.Fatalf("got %+v", f)
	}
	if math.Abs(f.ErrorByJoins-1) > 1e-6 || f.ErrorByPastSales < 1.5 {
		t.Fatalf("it was off by %v, and by %v without joins", f.ErrorByJoins, f.ErrorByPastSales)
	}
	if f := ForecastDemand([]PastSale{{100, 500}, {200, 1000}, {400, 2000}, {800, 4000}, {1600, 8000}, {3200, 16_000}}, 10_000); !f.Beyond {
		t.Fatal("no past sale had 10,000 joins, and it does not say so")
	}
}

// The error that is told is that of a fit which never saw the sale: the shortcut by leverage is the
// same as leaving each out and fitting again.
func TestTheErrorIsThatOfSalesLeftOut(t *testing.T) {
	past := pastSales(9, 0.4, 3)
	var xs, ys []float64
	for _, s := range past {
		xs, ys = append(xs, math.Log(float64(s.Joined))), append(ys, math.Log(float64(s.Came)))
	}
	all, ok := fit(xs, ys)
	if !ok {
		t.Fatal("no line through nine sales")
	}
	for i, got := range all.leftOut() {
		others, _ := fit(without(xs, i), without(ys, i))
		if want := ys[i] - others.at(xs[i]); math.Abs(got-want) > 1e-9 {
			t.Errorf("sale %d: the error is %v, want %v", i, got, want)
		}
	}
	for i, got := range leftOutOfMean(ys) {
		mean := 0.0
		for _, y := range without(ys, i) {
			mean += y / float64(len(ys)-1)
		}
		if want := ys[i] - mean; math.Abs(got-want) > 1e-9 {
			t.Errorf("sale %d: the error of the mean is %v, want %v", i, got, want)
		}
	}
}

func without(xs []float64, i int) []float64 {
	return append(append([]float64(nil), xs[:i]...), xs[i+1:]...)
}

// Nine of ten sales that the forecast does not know lie in its range.
func TestNineOfTenLieInTheRange(t *testing.T) {
	inside, narrower, asked := 0, 0, 0
	for seed := range uint64(400) {
		all := pastSales(13, 0.5, seed)
		f := ForecastDemand(all[1:], all[0].Joined)
		asked++
		if came := float64(all[0].Came); f.Buyers.Low <= came && came <= f.Buyers.High {
			inside++
		}
		if f.Method == ByJoins {
			narrower++
		}
	}
	if share := float64(inside) / float64(asked); share < 0.86 || share > 0.94 {
		t.Errorf("%.2f of the sales lie in the range, want 0.9", share)
	}
	if narrower < asked*9/10 {
		t.Errorf("joins were used %d times of %d", narrower, asked)
	}
}

// Joins that say nothing are not used, and too few sales give no forecast.
func TestWhatSaysNothingIsNotUsed(t *testing.T) {
	noise := 0
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 9))
		past := make([]PastSale, 12)
		for i := range past {
			past[i] = PastSale{Joined: 100 + random.Int64N(10_000), Came: 10_000 + random.Int64N(10_000)}
		}
		if f := ForecastDemand(past, 300); f.Method == ByJoins {
			noise++
		} else if f.ErrorByJoins < f.ErrorByPastSales && f.ErrorByJoins > 0 && f.Slope > 0 {
			t.Fatalf("seed %d: %+v", seed, f)
		}
	}
	if noise > 25 {
		t.Errorf("joins that say nothing were used %d times of 50", noise)
	}
	for name, test := range map[string]struct {
		past   []PastSale
		joined int64
		want   string
	}{
		"none":                {nil, 100, ByNothing},
		"five":                {pastSales(5, 0.1, 1), 100, ByNothing},
		"nobody came":         {make([]PastSale, 20), 100, ByNothing},
		"nobody joined yet":   {pastSales(8, 0.1, 1), 0, ByPastSales},
		"as many joins each":  {[]PastSale{{9, 90}, {9, 80}, {9, 100}, {9, 95}, {9, 85}, {9, 90}}, 9, ByPastSales},
		"none joined earlier": {[]PastSale{{0, 90}, {0, 80}, {0, 100}, {0, 95}, {0, 85}, {0, 90}}, 9, ByPastSales},
	} {
		t.Run(name, func(t *testing.T) {
			f := ForecastDemand(test.past, test.joined)
			if f.Method != test.want {
				t.Fatalf("%+v, want by %s", f, test.want)
			}
			if f.Method == ByNothing && f.Buyers != (Range{}) {
				t.Fatalf("it knows nothing and says %v", f.Buyers)
			}
		})
	}
}

// It never says fewer than have come already, and nothing that is no number.
func TestAForecastIsNeverLessThanHaveJoined(t *testing.T) {
	for _, joined := range []int64{1, 5000, 1e8} {
		f := ForecastDemand(pastSales(8, 1, 4), joined)
		if f.Buyers.Low < float64(joined) || f.Buyers.Typical < f.Buyers.Low || f.Buyers.High < f.Buyers.Typical {
			t.Errorf("%d have joined, and it says %v", joined, f.Buyers)
		}
		if text := fmt.Sprint(f); math.IsInf(f.Buyers.High, 0) || math.IsNaN(f.Buyers.Low) {
			t.Error(text)
		}
	}
}
