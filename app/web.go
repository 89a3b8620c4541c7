package app

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"boxoffice/admission"
	"boxoffice/api"
	"boxoffice/domain"
	"boxoffice/entitlement"
	"boxoffice/erasure"
	"boxoffice/humancheck"
	"boxoffice/payments"
	"boxoffice/storefront"
	"boxoffice/waitingroom"
)

// openAPI puts the API and the pages behind the listeners.
func (s *service) openAPI(p *parts, fail func(error)) error {
	if s.role == roleWorker {
		return nil
	}
	database := p.store.Public()
	catalog := admission.NewCatalog(database, p.book)
	var admit *admission.Admission
	rooms, err := s.roomsOf(p, func() waitingroom.Load { return admit.Load() })
	if err != nil {
		return err
	}
	admit, err = admission.New(admission.Options{
		Desk: timedDesk{p.desk, p.meter.stages}, Cells: s.otherCells(), CellOf: p.desk.CellOf, Catalog: catalog, Books: p.book, Keys: p.keys, Rooms: rooms,
		MaySell: p.clocks.MaySell, PerBuyer: s.RatePerBuyer,
		InFlightMax: s.CheckoutsInFlightMax, InFlightMin: s.CheckoutsInFlightMin, InLineMax: s.CheckoutsInLineMax,
		Meter: p.meter.registry, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.admit.Store(admit)
	temporalUI := s.TemporalUIURL
	if s.Cells.Several() {
		temporalUI = "" // the page does not know in which cell the order is
	}
	pages, err := storefront.New(storefront.Options{
		Catalog: catalog, Interrupted: admit.Interrupted, Log: s.log,
		TemporalUIURL: temporalUI, TemporalNamespace: s.TemporalNamespace, PublicURL: s.URL, Mails: p.mails != nil,
		// The API has the pages and they use it, so they get it once it exists. No page
		// is requested before.
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ready.Load().public.ServeHTTP(w, r) }),
	})
	if err != nil {
		return err
	}
	check, err := humancheck.New(p.keys, s.HumanCheckBits, p.store.Queues().SpendChallenges)
	if err != nil {
		return err
	}
	var mails api.Mails
	if p.mails != nil {
		mails = database
	}
	templates, err := s.ticketTemplates(p)
	if err != nil {
		return err
	}
	server, err := api.New(api.Options{
		Mails: mails, TicketsPDF: templates.TicketsPDF,
		EventLog:  p.store.Readers(),
		Eraser:    s.eraser(p),
		Exporter:  &erasure.Exporter{Orders: p.store.Readers(), Ledger: p.book, Temporal: p.desk, Keys: p.keys},
		Acts:      p.store,
		Figures:   p.store.Readers(),
		Arrivals:  p.store.Readers(),
		Admission: admit, Catalog: catalog, Desk: p.desk, Orders: placedSales{database, s.Cells, s.log}, Books: p.book, Keys: p.keys,
		Providers:  timedProviders{p.providers, p.meter.stages},
		Capacities: p.capacities,
		Auditor:    p.auditor, PayPage: s.payPage(p.providers, p.keys), PayWish: s.payWish(p.keys), Rooms: rooms,
		Entitlements:     entitlement.New(p.store.Queues(), rooms, p.keys),
		WebhookEndpoints: s.webhookEndpoints(p),
		HumanCheck:       check, HumanCheckExemptsLocal: s.HumanCheckExemptsLocal, Rates: s.Rates,
		LogSource: s.LogSource, Profiles: s.Profiles, Tracer: s.tracer,
		AdminToken: string(s.AdminTokens), SeparateAdmin: s.AdminURL != s.URL,
		Checks: s.readiness(p), Metrics: p.meter.handler(), Meter: p.meter.registry, Log: s.log, Pages: s.mailPages(p.mails, pages), PublicURL: s.URL,
	})
	if err != nil {
		return err
	}
	s.runRooms(rooms, fail)
	s.closeStreams = server.CloseStreams
	s.ready.Store(&handlers{public: server.Public(), admin: server.Admin(), webhooks: server.Webhooks()})
	return nil
}

// describe says on the pay page what is paid for, as far as it fits: an order may have
// many classes with long names. The page shows the amount itself.
func describe(order *domain.Order) string {
	var b strings.Builder
	b.WriteString(order.SaleID)
	for i, l := range order.Lines {
		separator := " + "
		if i == 0 {
			separator = " · "
		}
		fmt.Fprintf(&b, "%s%d × %s", separator, l.Quantity, l.Class)
	}
	return shorten(b.String(), payments.DescriptionMaxLen)
}

// shorten cuts a text to this many bytes, between two runes.
func shorten(s string, bytesMax int) string {
	const ellipsis = "…"
	if len(s) <= bytesMax {
		return s
	}
	end := bytesMax - len(ellipsis)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
