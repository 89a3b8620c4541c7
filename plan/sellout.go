package plan

import (
	"math"
	"math/rand/v2"
)

// SimulateSellOut lets people in at random moments, so many a second, as long as seats are
// free, until every ticket is paid for or nobody is left. It returns when this part of the
// tickets was paid and when all were, in seconds; +Inf: never.
func SimulateSellOut(tickets int64, buyers int, letIn, paid, perOrder, hold, pays, part float64, seed uint64) (partAt, allAt float64) {
	var c clock
	random := rand.New(rand.NewPCG(seed, 1))
	free, sold := tickets, int64(0)
	partAt, allAt = math.Inf(1), math.Inf(1)
	var atDoor func()
	isShut := false // nothing is free: it opens again when something is
	comeBack := func(n int64) {
		free += n
		if isShut {
			isShut = false
			atDoor()
		}
	}
	atDoor = func() {
		if buyers == 0 || sold == tickets {
			return
		}
		if isShut = free == 0; isShut {
			return
		}
		c.after(random.ExpFloat64()/letIn, func() {
			if free > 0 {
				buyers--
				take := min(free, ticketsOf(perOrder, random))
				free -= take
				if random.Float64() < paid {
					c.after(min(random.ExpFloat64()*pays, hold), func() {
						sold += take
						if partAt > c.now && float64(sold) >= part*float64(tickets) {
							partAt = c.now
						}
						if sold == tickets {
							allAt = c.now
						}
					})
				} else {
					c.after(hold, func() { comeBack(take) })
				}
			}
			atDoor()
		})
	}
	atDoor()
	c.runTo(math.MaxFloat64)
	return partAt, allAt
}

// ticketsOf is a whole number with this mean.
func ticketsOf(perOrder float64, random *rand.Rand) int64 {
	n := int64(perOrder)
	if random.Float64() < perOrder-float64(n) {
		n++
	}
	return n
}
