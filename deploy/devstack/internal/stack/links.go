package stack

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"boxoffice/deploy/devstack/internal/postgres"
)

// Links between two of the stack's processes. A fault test can put its own proxy on any
// of them (--via): the process named first then gets the proxy's address instead of the
// other's.
const (
	linkBoxOfficeTemporal    = "boxoffice-temporal"
	linkBoxOfficePostgres    = "boxoffice-postgres"
	linkBoxOfficeTigerBeetle = "boxoffice-tigerbeetle"
	linkBoxOfficeMockpay     = "boxoffice-mockpay"
	linkMockpayBoxOffice     = "mockpay-boxoffice"
	linkTemporalPostgres     = "temporal-postgres"
	linkBoxOfficeKafka       = "boxoffice-kafka"
)

// Links are all names that --via takes.
var Links = []string{
	linkBoxOfficeTemporal, linkBoxOfficePostgres, linkBoxOfficeTigerBeetle, linkBoxOfficeMockpay, linkMockpayBoxOffice,
	linkTemporalPostgres, linkBoxOfficeKafka,
}

// Vias are the proxies by link, each as host:port. It is a flag.Value.
type Vias map[string]string

// String implements flag.Value.
func (v Vias) String() string { return fmt.Sprint(map[string]string(v)) }

// Set implements flag.Value.
func (v Vias) Set(text string) error {
	link, address, _ := strings.Cut(text, "=")
	if !slices.Contains(Links, link) {
		return fmt.Errorf("want LINK=HOST:PORT; the links are %s", strings.Join(Links, ", "))
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return err
	}
	v[link] = address
	return nil
}

// url is the proxy of a link as a URL, or the other side's own.
func (v Vias) url(link, direct string) string {
	if address, found := v[link]; found {
		return "http://" + address
	}
	return direct
}

// hostPort is the proxy of a link, or the other side's own address.
func (v Vias) hostPort(link, direct string) string { return cmp.Or(v[link], direct) }

// database is a database seen through the proxy of a link.
func (v Vias) database(link string, d postgres.Database) postgres.Database {
	host, portText, err := net.SplitHostPort(v[link])
	if port, numErr := strconv.Atoi(portText); err == nil && numErr == nil {
		d.Host, d.Port = host, port
	}
	return d
}

// redirect replaces, in the box office's variables, the addresses of links that have a proxy.
func (s *stack) redirect(vars map[string]string) {
	overrides := map[string]string{
		varTemporal:   s.Via[linkBoxOfficeTemporal],
		varTBAddress:  s.Via[linkBoxOfficeTigerBeetle],
		varMockpayURL: s.Via.url(linkBoxOfficeMockpay, ""),
	}
	if _, found := s.Via[linkBoxOfficePostgres]; found {
		overrides[varDatabase] = s.Via.database(linkBoxOfficePostgres, s.databases.Orders).URL()
	}
	maps.DeleteFunc(overrides, func(name, value string) bool { return value == "" || vars[name] == "" })
	maps.Copy(vars, overrides)
}
