package kafka

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// KAFKA_TEST_BROKERS names brokers that create topics with three partitions.
func TestOnARealBroker(t *testing.T) {
	brokers := os.Getenv("KAFKA_TEST_BROKERS")
	if brokers == "" {
		t.Skip("SKIPPED: KAFKA_TEST_BROKERS names no Apache Kafka; the other tests run on a fake one")
	}
	t.Attr("ran-on", "Apache Kafka at "+brokers)
	prefix := fmt.Sprintf("test-%d.", time.Now().UnixNano())
	p := publisher(t, Options{Brokers: strings.Split(brokers, ","), TopicPrefix: prefix, CreateTopics: true, deliveryTimeout: deliveryTimeout})
	want := map[string][]string{}
	var events []domain.Event
	for n := range 500 {
		e := paid(n, byte(n%50))
		events = append(events, e)
		want[e.Subject()] = append(want[e.Subject()], e.ID.String())
	}
	again(t, p, events)
	records := stored(t, strings.Split(brokers, ","), prefix+"orders", len(events))
	if len(records) != len(events) {
		t.Errorf("got %d records, want %d", len(records), len(events))
	}
	got := firsts(records)
	for subject := range want {
		if strings.Join(got[subject], " ") != strings.Join(want[subject], " ") {
			t.Errorf("order %s: got %v, want %v", subject, got[subject], want[subject])
		}
	}
}
