package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/notify"
	"boxoffice/notify/kafka"
)

// readKafka reads KAFKA_…. Without brokers there is no Kafka reader, and any other setting
// is then a mistake.
func (c *config) readKafka() error {
	brokers := os.Getenv("KAFKA_BROKERS")
	if brokers == "" {
		for _, name := range []string{"KAFKA_TOPIC_PREFIX", "KAFKA_TLS", "KAFKA_TLS_SERVER_CA_CERT_PATH", "KAFKA_SASL_MECHANISM", "KAFKA_USER"} {
			if os.Getenv(name) != "" {
				return fmt.Errorf("KAFKA_BROKERS is not set, but %s is", name)
			}
		}
		return nil
	}
	o := &kafka.Options{
		TopicPrefix: kafka.TopicPrefixDefault,
		Mechanism:   os.Getenv("KAFKA_SASL_MECHANISM"), User: os.Getenv("KAFKA_USER"),
	}
	for broker := range strings.SplitSeq(brokers, ",") {
		o.Brokers = append(o.Brokers, strings.TrimSpace(broker))
	}
	if prefix, set := os.LookupEnv("KAFKA_TOPIC_PREFIX"); set { // it may be empty
		o.TopicPrefix = prefix
	}
	password, err := readSecret("KAFKA_PASSWORD")
	o.Password = string(password)
	problems := []error{err}
	o.CreateTopics, err = envSwitch("KAFKA_CREATE_TOPICS")
	problems = append(problems, err)
	o.TLS, err = readKafkaTLS()
	problems = append(problems, err)
	if err := errors.Join(problems...); err != nil {
		return err
	}
	c.Kafka = o
	return o.Validate()
}

func envSwitch(name string) (bool, error) {
	text := os.Getenv(name)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s: want true or false", name)
	}
	return on, nil
}

// readKafkaTLS reads the TLS settings. Any of the paths turns TLS on.
func readKafkaTLS() (*tls.Config, error) {
	on, err := envSwitch("KAFKA_TLS")
	if err != nil {
		return nil, err
	}
	roots, cert, key := os.Getenv("KAFKA_TLS_SERVER_CA_CERT_PATH"), os.Getenv("KAFKA_TLS_CLIENT_CERT_PATH"), os.Getenv("KAFKA_TLS_CLIENT_KEY_PATH")
	if !on && roots == "" && cert == "" && key == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != "" {
		pem, err := readFile(roots)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_TLS_SERVER_CA_CERT_PATH: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, fmt.Errorf("KAFKA_TLS_SERVER_CA_CERT_PATH: no certificate in %s", roots)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_TLS_CLIENT_CERT_PATH and KAFKA_TLS_CLIENT_KEY_PATH: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// openKafka does not wait for a broker.
func (s *service) openKafka(registry prometheus.Registerer) (notify.Reader, error) {
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "boxoffice_kafka_failures_total", Help: "Failed calls to Kafka, by reason.",
	}, []string{"reason"})
	for _, reason := range kafka.Reasons {
		failures.WithLabelValues(string(reason))
	}
	registry.MustRegister(failures)
	o := *s.Kafka
	o.Tracer = s.tracer
	o.Failed = func(reason kafka.Reason) { failures.WithLabelValues(string(reason)).Inc() }
	publisher, err := kafka.New(o)
	if err != nil {
		return notify.Reader{}, err
	}
	s.later(publisher.Close)
	return publisher.Reader(), nil
}
