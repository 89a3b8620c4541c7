package mail

import (
	"strconv"
	"testing"
	"time"

	"boxoffice/domain"
)

// What a mail with tickets costs a node: its text, its QR codes and its PDF.
func BenchmarkTicketsMail(b *testing.B) {
	templates, err := ReadTemplates("", "en")
	noError(b, err)
	for _, quantity := range []int{1, 6} {
		b.Run(strconv.Itoa(quantity), func(b *testing.B) {
			order := domain.SoldOrder{
				ID: domain.OrderID{1}, SaleName: "Gophercon Zürich", Currency: "EUR", AmountMinor: 6500, PaidAt: time.Unix(1_800_000_000, 0), Status: domain.OrderPaid,
				Lines: []domain.Line{{Class: "A", Quantity: int64(quantity), UnitPriceMinor: 6500}},
			}
			for n := range quantity {
				order.Tickets = append(order.Tickets, domain.Ticket{Number: n + 1, Class: "A", Code: "0123456789ABCDEFGHJKMNPQR" + strconv.Itoa(n)})
			}
			b.ReportAllocs()
			for b.Loop() {
				_, err := templates.write(templates.match(""), domain.MailTickets, tellsOf(&order, "https://tickets.example.com/orders/1#token"))
				noError(b, err)
			}
		})
	}
}
