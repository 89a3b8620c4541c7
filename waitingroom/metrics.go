package waitingroom

import "github.com/prometheus/client_golang/prometheus"

var (
	joinedDesc   = prometheus.NewDesc("boxoffice_queue_joined", "Places given out, over all nodes.", []string{"sale"}, nil)
	waitingDesc  = prometheus.NewDesc("boxoffice_queue_waiting", "Places that are not admitted, over all nodes, including those whose holders left.", []string{"sale"}, nil)
	admittedDesc = prometheus.NewDesc("boxoffice_queue_admitted", "Places admitted, over all nodes, including those whose holders left.", []string{"sale"}, nil)
	rateDesc     = prometheus.NewDesc("boxoffice_queue_rate_per_second", "People present whom the door admits a second.", []string{"sale"}, nil)
	openDesc     = prometheus.NewDesc("boxoffice_queue_open", "1 while the door would let people in: it is open, seats are free, and somebody asks.", []string{"sale"}, nil)
	turnsDesc    = prometheus.NewDesc("boxoffice_queue_door_turns_total", "Turns of the door that this node made.", []string{"sale"}, nil)
)

// A collector reads the rooms when asked. So nothing is counted twice, and there are as
// many labels as rooms (roomsMax).
type collector struct{ rooms *Rooms }

// Describe implements prometheus.Collector.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{joinedDesc, waitingDesc, admittedDesc, rateDesc, openDesc, turnsDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	c.rooms.rooms.Range(func(_, value any) bool {
		of := value.(*room)
		s := of.last.Load()
		if !s.known() {
			return true
		}
		gauge := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, of.sale)
		}
		gauge(joinedDesc, float64(s.Joined))
		gauge(waitingDesc, float64(max(s.Joined-s.Door.Admitted, 0)))
		gauge(admittedDesc, float64(s.Door.Admitted))
		gauge(rateDesc, s.Door.Rate)
		open := 0.0
		if c.rooms.isDoorOpen(of) {
			open = 1
		}
		gauge(openDesc, open)
		to <- prometheus.MustNewConstMetric(turnsDesc, prometheus.CounterValue, float64(of.turns.Load()), of.sale)
		return true
	})
}
