package plan

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"boxoffice/domain"
)

// ForecastSalesMin is how many past sales a forecast needs: fewer say nothing about how wrong
// it may be.
const ForecastSalesMin = 6

// A PastSale is how many had joined its waiting room at some time before the opening, and how
// many came in all.
type PastSale struct {
	Joined, Came int64
}

// What a forecast is made of.
const (
	ByJoins     = "joins"      // a line through the logarithms of past sales' joins and demand
	ByPastSales = "past_sales" // past sales' demand alone
	ByNothing   = "none"
)

// A Forecast is how many people will come to a sale.
type Forecast struct {
	Method string
	Buyers Range // between Low and High in nine of ten sales like the past ones
	Sales  int   // past sales that it is made of
	// How far it was off, in the median, for past sales that it did not know, as a factor: 1.3
	// is 30 % too many or too few. By joins and by past sales alone; 0: not known.
	ErrorByJoins, ErrorByPastSales float64
	// Slope is by which power demand grows with joins; 1 is in proportion. 0: not by joins.
	Slope float64
	// Beyond: as many joins, or as few, no past sale had.
	Beyond bool
}

// ForecastSale forecasts the demand for a sale whose arrivals are known.
func ForecastSale(a *domain.SaleArrivals) Forecast {
	past := make([]PastSale, 0, len(a.Past))
	for _, s := range a.Past {
		past = append(past, PastSale{Joined: s.Joined, Came: s.Came})
	}
	f := ForecastDemand(past, a.Joined)
	if came := float64(a.Came); f.Method != ByNothing { // after the opening more have come than had joined by then
		f.Buyers = Range{max(f.Buyers.Low, came), max(f.Buyers.Typical, came), max(f.Buyers.High, came)}
	}
	return f
}

// ForecastDemand says how many will come, where so many have joined at a time before the
// opening, from what past sales had at the same time before theirs. Of two models it takes the
// one that was less wrong about each past sale when it knew only the others (leave one out):
// a line through logarithms, or the mean of the logarithms of demand. Method is ByNothing where
// there are too few past sales.
func ForecastDemand(past []PastSale, joined int64) Forecast {
	var came, logJoined, logCame []float64
	for _, s := range past {
		if s.Came <= 0 {
			continue
		}
		came = append(came, math.Log(float64(s.Came)))
		if s.Joined > 0 {
			logJoined, logCame = append(logJoined, math.Log(float64(s.Joined))), append(logCame, math.Log(float64(s.Came)))
		}
	}
	f := Forecast{Method: ByNothing, Sales: len(came)}
	if len(came) < ForecastSalesMin {
		return f
	}
	f.Method, f.ErrorByPastSales = ByPastSales, offBy(leftOutOfMean(came))
	f.Buyers = interval(stat.Mean(came, nil), stat.StdDev(came, nil)*math.Sqrt(1+1/float64(len(came))), len(came)-1)
	if line, ok := fit(logJoined, logCame); ok && joined > 0 {
		f.ErrorByJoins = offBy(line.leftOut())
		if f.ErrorByJoins < f.ErrorByPastSales && line.slope > 0 {
			x := math.Log(float64(joined))
			f.Method, f.Sales, f.Slope = ByJoins, len(logJoined), line.slope
			f.Buyers = interval(line.at(x), line.deviation*math.Sqrt(1+line.leverage(x)), len(logJoined)-2)
			f.Beyond = x < slices.Min(logJoined) || x > slices.Max(logJoined)
		}
	}
	// Whoever has joined has come.
	least := float64(joined)
	f.Buyers = Range{max(f.Buyers.Low, least), max(f.Buyers.Typical, least), max(f.Buyers.High, least)}
	return f
}

// interval is where nine of ten lie, by Student's distribution, out of logarithms.
func interval(mean, deviation float64, freedom int) Range {
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(freedom)}.Quantile(0.95)
	// Beyond that nobody plans anything, and infinities are no numbers in JSON.
	at := func(log float64) float64 { return math.Exp(min(log, math.Log(1e9))) }
	return Range{at(mean - t*deviation), at(mean), at(mean + t*deviation)}
}

// offBy is the median of errors of logarithms, as a factor.
func offBy(errors []float64) float64 {
	for i, e := range errors {
		errors[i] = math.Abs(e)
	}
	slices.Sort(errors)
	n := len(errors)
	return math.Exp(min((errors[(n-1)/2]+errors[n/2])/2, math.Log(1e9)))
}

// leftOutOfMean are the errors of the mean of the others.
func leftOutOfMean(ys []float64) []float64 {
	n := float64(len(ys))
	mean := stat.Mean(ys, nil)
	errors := make([]float64, len(ys))
	for i, y := range ys {
		errors[i] = (y - mean) * n / (n - 1)
	}
	return errors
}

// A line is the least squares'.
type line struct {
	xs, ys                      []float64
	intercept, slope, deviation float64
	mean, squares               float64 // of xs
}

// fit needs as many points as a forecast, that are not all above each other.
func fit(xs, ys []float64) (*line, bool) {
	n := float64(len(xs))
	if len(xs) < ForecastSalesMin {
		return nil, false
	}
	l := &line{xs: xs, ys: ys, mean: stat.Mean(xs, nil), squares: stat.Variance(xs, nil) * (n - 1)}
	if l.squares < 1e-9 {
		return nil, false
	}
	l.intercept, l.slope = stat.LinearRegression(xs, ys, nil, false)
	sum := 0.0
	for i := range xs {
		sum += sq(ys[i] - l.at(xs[i]))
	}
	l.deviation = math.Sqrt(sum / (n - 2))
	return l, true
}

func (l *line) at(x float64) float64 { return l.intercept + l.slope*x }

func (l *line) leverage(x float64) float64 { return 1/float64(len(l.xs)) + sq(x-l.mean)/l.squares }

// leftOut are the errors of the lines through all other points. Fitting them again is not
// needed: what a point pulls the line towards itself is its leverage.
func (l *line) leftOut() []float64 {
	errors := make([]float64, len(l.xs))
	for i, x := range l.xs {
		errors[i] = (l.ys[i] - l.at(x)) / max(1-l.leverage(x), 1e-9)
	}
	return errors
}

func sq(x float64) float64 { return x * x }
