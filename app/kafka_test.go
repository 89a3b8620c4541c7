package app

import (
	"slices"
	"strings"
	"testing"
)

func TestKafkaBrokersMayHaveSpaces(t *testing.T) {
	complete(t)
	t.Setenv("KAFKA_BROKERS", " kafka-1:9092, kafka-2:9092 ")
	c, err := readConfig()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"kafka-1:9092", "kafka-2:9092"}; !slices.Equal(c.Kafka.Brokers, want) {
		t.Errorf("brokers %q, want %q", c.Kafka.Brokers, want)
	}
}

func TestKafkaConfigNamesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"a comma too many":          {map[string]string{"KAFKA_BROKERS": "kafka:9092,"}, `"" is not host:port`},
		"no port":                   {map[string]string{"KAFKA_BROKERS": "kafka"}, `"kafka" is not host:port`},
		"a setting without brokers": {map[string]string{"KAFKA_TLS": "true"}, "KAFKA_BROKERS is not set, but KAFKA_TLS is"},
		"an invalid switch":         {map[string]string{"KAFKA_BROKERS": "kafka:9092", "KAFKA_CREATE_TOPICS": "perhaps"}, "KAFKA_CREATE_TOPICS: want true or false"},
		"a password in the clear":   {map[string]string{"KAFKA_BROKERS": "kafka:9092", "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_USER": "u", "KAFKA_PASSWORD": "p"}, "turn KAFKA_TLS on"},
	} {
		t.Run(name, func(t *testing.T) {
			complete(t)
			for variable, value := range c.env {
				t.Setenv(variable, value)
			}
			if _, err := readConfig(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
