package stack

import (
	"fmt"
	"net"
	"strconv"

	"boxoffice/deploy/devstack/internal/ports"
)

// addresses is everywhere the stack listens.
type addresses struct {
	boxOffice, admin, mockpay, temporal, temporalUI, codec, postgres, tigerbeetle, kafka, prometheus, jaeger ports.Address
	// temporalInner are the ports of Temporal's history, matching and worker services.
	temporalInner [3]int
	// kafkaController is the port of the broker's own controller.
	kafkaController int
	// otlp is where Jaeger takes spans.
	otlp int
}

// wellKnown are the addresses if the user chooses none.
func wellKnown() addresses {
	at := func(name, variable string, port int) ports.Address {
		return ports.Address{Name: name, Variable: variable, Host: "127.0.0.1", Port: port}
	}
	return addresses{
		boxOffice:   at("the storefront", varURL, 8080),
		mockpay:     at("MockPay", varMockpayURL, 8090),
		temporal:    at("Temporal", varTemporal, 7233),
		temporalUI:  at("the Temporal Web UI", varTemporalUI, 8233),
		codec:       at("the codec of the Web UI", varCodec, 8234),
		postgres:    at("Postgres", varPostgresPort, 5433),
		tigerbeetle: at("TigerBeetle", varTBPort, 3001),
		kafka:       at("Kafka", varKafkaPort, 9092),
		prometheus:  at("Prometheus", varPrometheusPort, 9090),
		jaeger:      at("Jaeger", varJaeger, 16686),
	}
}

// public returns the addresses that a user can move, the admin listener last.
func (a *addresses) public() []*ports.Address {
	return []*ports.Address{&a.boxOffice, &a.mockpay, &a.temporal, &a.temporalUI, &a.codec, &a.postgres, &a.tigerbeetle, &a.kafka, &a.prometheus, &a.jaeger}
}

// chosenAddresses are the well-known ones, moved by the user's variables.
func chosenAddresses(user, before map[string]string) (addresses, error) {
	a := wellKnown()
	var err error
	for _, address := range a.public() {
		value, set := user[address.Variable]
		if !set {
			continue
		}
		if *address, err = parseAddress(*address, value); err != nil {
			return a, err
		}
	}
	if a.admin, err = chosenAdmin(a.boxOffice, user, before); err != nil {
		return a, err
	}
	return a, a.distinct()
}

// chosenAdmin is where the organiser's routes are: where the user says; else on their own
// listener if they had one at the previous start; else with the box office. Only the user
// can move them back onto the public listener.
func chosenAdmin(boxOffice ports.Address, user, before map[string]string) (ports.Address, error) {
	value := user[varAdminURL]
	if value == "" && before[varAdminURL] != before[varURL] {
		value = before[varAdminURL]
	}
	if value == "" {
		return boxOffice, nil
	}
	admin, err := ports.ParseURL("the admin page", varAdminURL, value)
	if err == nil && user[varAdminURL] == "" && admin.Port == boxOffice.Port {
		err = fmt.Errorf("the organiser's routes had their own listener at %s, where the storefront is now; set %s to say where they go", value, varAdminURL)
	}
	return admin, err
}

func parseAddress(a ports.Address, value string) (ports.Address, error) {
	switch a.Variable {
	case varPostgresPort, varTBPort, varKafkaPort, varPrometheusPort:
		return ports.ParseHostPort(a.Name, a.Variable, net.JoinHostPort(a.Host, value))
	case varTemporal:
		return ports.ParseHostPort(a.Name, a.Variable, value)
	default:
		return ports.ParseURL(a.Name, a.Variable, value)
	}
}

func (a *addresses) distinct() error {
	seen := map[int]ports.Address{}
	for _, address := range a.public() {
		if other, found := seen[address.Port]; found {
			return fmt.Errorf("%s and %s are both on port %d; move one with %s or %s",
				other.Name, address.Name, address.Port, other.Variable, address.Variable)
		}
		seen[address.Port] = *address
	}
	if other, found := seen[a.admin.Port]; found && a.admin.Port != a.boxOffice.Port {
		return fmt.Errorf("%s and %s are both on port %d; move one with %s or %s", other.Name, a.admin.Name, a.admin.Port, other.Variable, a.admin.Variable)
	}
	return nil
}

// freeAddresses puts everything on free ports, and keeps those of the previous start if
// they are still free, so that links already given out keep working. The organiser's
// routes are where the user says, or on their own free port if they had their own
// listener.
func freeAddresses(user, before map[string]string) (addresses, error) {
	a := wellKnown()
	taken := map[int]bool{}
	admin, err := chosenAdmin(ports.Address{}, user, before)
	if err != nil {
		return a, err
	}
	isApart, isWish := admin.Port != 0, user[varAdminURL] != ""
	if isApart && !isWish && ports.Check(admin) != nil {
		if admin.Port, err = ports.Free(taken); err != nil {
			return a, err
		}
	}
	taken[admin.Port] = true
	for _, address := range a.public() {
		last, err := parseAddress(*address, before[address.Variable])
		if err == nil && !taken[last.Port] && ports.Check(last) == nil {
			*address = last
		} else if address.Port, err = ports.Free(taken); err != nil {
			return a, err
		}
		taken[address.Port] = true
	}
	a.admin = a.boxOffice
	if isApart {
		a.admin = admin
	}
	return a, nil
}

// pickInner finds ports for Temporal's inner services, Kafka's controller and Jaeger's collector,
// which users cannot choose.
func (a *addresses) pickInner() error {
	taken := map[int]bool{a.admin.Port: true}
	for _, address := range a.public() {
		taken[address.Port] = true
	}
	for _, inner := range []*int{&a.temporalInner[0], &a.temporalInner[1], &a.temporalInner[2], &a.kafkaController, &a.otlp} {
		port, err := ports.Free(taken)
		if err != nil {
			return err
		}
		taken[port] = true
		*inner = port
	}
	return nil
}

func (a *addresses) innerText() string {
	text := ""
	for i, port := range a.temporalInner {
		if i > 0 {
			text += ","
		}
		text += strconv.Itoa(port)
	}
	return text
}
