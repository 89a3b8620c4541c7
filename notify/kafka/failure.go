package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Reason says why a call failed, by what an operator has to do.
type Reason string

// The reasons.
const (
	ReasonUnreachable  Reason = "unreachable"   // no broker answered in time
	ReasonUnknownTopic Reason = "unknown_topic" // the topic does not exist: create it
	ReasonUnauthorised Reason = "unauthorised"  // the brokers deny us access
	ReasonUnsupported  Reason = "unsupported"   // their version or SASL mechanism does not match
	ReasonRefused      Reason = "refused"       // the record itself is too large or invalid
	ReasonOther        Reason = "other"
)

// Reasons lists them.
var Reasons = []Reason{ReasonUnreachable, ReasonUnknownTopic, ReasonUnauthorised, ReasonUnsupported, ReasonRefused, ReasonOther}

var errTooLarge = errors.New("the record is too large")

// isRefusal reports whether the brokers refuse this record for good. Every other error may go away.
func isRefusal(err error) bool {
	return isAny(err, errTooLarge, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp)
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func reasonOf(err error) Reason {
	switch {
	case isRefusal(err):
		return ReasonRefused
	case isAny(err, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidTopicException):
		return ReasonUnknownTopic
	case isAny(err, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed):
		return ReasonUnauthorised
	case isAny(err, kerr.UnsupportedVersion, kerr.UnsupportedSaslMechanism, kerr.UnsupportedForMessageFormat, kerr.IllegalSaslState):
		return ReasonUnsupported
	case isAny(err, kgo.ErrRecordTimeout, kgo.ErrRecordRetries, context.DeadlineExceeded, context.Canceled,
		kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend):
		return ReasonUnreachable
	default:
		var network net.Error
		if errors.As(err, &network) {
			return ReasonUnreachable
		}
		return ReasonOther
	}
}

// seen is the last error of a connection.
type seen struct{ err error }

var (
	_ kgo.HookBrokerConnect = (*Publisher)(nil)
	_ kgo.HookBrokerE2E     = (*Publisher)(nil)
)

// OnBrokerConnect implements kgo.HookBrokerConnect. The client itself retries for ever and then reports only a timeout.
func (p *Publisher) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil && !errors.Is(err, kgo.ErrClientClosed) {
		p.seen.Store(&seen{err})
	}
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (p *Publisher) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	if err := e2e.Err(); err != nil && !errors.Is(err, kgo.ErrClientClosed) {
		p.seen.Store(&seen{err})
	}
}

// explain says what an operator can do about an error of the brokers or of the connection.
func (p *Publisher) explain(err error, topic string) error {
	if last := p.seen.Load(); last != nil && reasonOf(err) == ReasonUnreachable {
		err = fmt.Errorf("%w, the last connection: %w", err, last.err)
	}
	switch reasonOf(err) {
	case ReasonUnknownTopic:
		return fmt.Errorf("kafka: topic %s does not exist: create it: %w", topic, err)
	case ReasonUnauthorised:
		return fmt.Errorf("kafka: the brokers do not let us write to topic %s: check KAFKA_USER and the ACLs: %w", topic, err)
	case ReasonUnsupported:
		return fmt.Errorf("kafka: we do not speak the brokers' version or SASL mechanism: %w", err)
	case ReasonUnreachable:
		return fmt.Errorf("kafka: no broker accepted the records in time: %w", err)
	default:
		return fmt.Errorf("kafka: topic %s: %w", topic, err)
	}
}
