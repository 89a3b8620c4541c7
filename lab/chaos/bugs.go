package main

// An edit replaces a text, which must be there exactly once, in a file of the product. Nothing is copied: the build reads
// the changed file through an overlay (go help build).
type edit struct{ file, old, new string }

// A bug is a build that is wrong in one way, the fault that brings it out, and who must notice: invariants of the audit by
// their ids, or "record", what buyers were told.
type bug struct {
	name     string
	edits    []edit
	caughtBy []string
	expose   func(*stage) error
}

// caughtByRecord stands for the load's own record beside the audit's ids.
const caughtByRecord = "record"

var bugs = []bug{
	{
		name: "recorded before it is posted",
		edits: []edit{{"activities/activities.go", "	if unsold, areSold, err := a.sellSeats(ctx, &s); err != nil || !areSold {\n",
			`	early := domain.Sold{Order: s.Order, Capture: s.Capture, Booking: s.Booking, PaidAt: s.PaidAt}
	if _, err := a.Orders.Record(ctx, early); err != nil && domain.CodeOf(err) != domain.CodeExists {
		return Settled{}, forWorkflow(err)
	}
	if unsold, areSold, err := a.sellSeats(ctx, &s); err != nil || !areSold {
`}},
		caughtBy: []string{"I4"},
		expose:   lateMoneyForSoldSeats,
	},
	{
		name: "the same success, told again, is a second payment",
		edits: []edit{
			{"workflows/late.go", "	if state.Payment == capture.Payment {\n", "	if false {\n"},
			{
				"activities/activities.go",
				"	case domain.CodeOf(err) == domain.CodeExists:\n		return RefundDue{}, nil\n",
				"	case domain.CodeOf(err) == domain.CodeExists:\n		return RefundDue{Due: true}, nil\n",
			},
			{
				"activities/activities.go",
				"	return a.whileOwed(domain.OrderID{}, a.Orders.FinishRefund(ctx, done.Payment, done.At))\n",
				"	_ = a.Orders.FinishRefund(ctx, done.Payment, done.At)\n	return nil\n",
			},
		},
		caughtBy: []string{"I2"},
		expose:   successToldAgain,
	},
	{
		name: "a random transfer id",
		edits: []edit{{"ledger/chain.go", "		t.ID = transferID(order, base|l.slot)\n",
			"		t.ID = transferID(order, base|l.slot)\n		if base == slotReturn {\n			t.ID = tb.ID()\n		}\n"}},
		caughtBy: []string{"I4"},
		expose:   killWhileRefunding("activity.ReturnSeats:after"),
	},
	{
		name: "a void without asking the provider",
		edits: []edit{
			{"workflows/checkout.go", "	var outcome domain.ExpireOutcome\n", "	if true {\n		return c.release(ctx, ending)\n	}\n	var outcome domain.ExpireOutcome\n"},
		},
		caughtBy: []string{"I2"},
		expose:   webhookLost,
	},
	{
		name: "acknowledged before it is durable",
		edits: []edit{
			{"api/orders.go", "	failpoint.Before(\"webhook\", \"pay\")\n	result, err := s.Admission.Pay(ctx, event)\n", `	go func() {
		time.Sleep(300 * time.Millisecond)
		failpoint.Before("webhook", "pay")
		_, _ = s.Admission.Pay(context.WithoutCancel(ctx), event)
	}()
	result := domain.PayResult{Settled: true}
`},
		},
		caughtBy: []string{"I2", "I6"},
		expose:   killAtLateMoney,
	},
	{
		name: "a refund without an idempotency key",
		edits: []edit{
			{"mockpay/bank.go", "	case isRepeated && (!isWhole || returned+taken >= capture.AmountMinor):\n		return earlier, nil, nil\n", ""},
			{"mockpay/bank.go", "		refund.AmountMinor -= returned + taken\n", ""},
			{"mockpay/bank.go", "refund.AmountMinor > capture.AmountMinor-returned:", "refund.AmountMinor > capture.AmountMinor:"},
		},
		caughtBy: []string{"I2"},
		expose:   killWhileRefunding("activity.RefundPayment:after"),
	},
	{
		name: "a budget without its limit",
		edits: []edit{
			{"ledger/sale.go", "newAccount(s, st, roleBudget, tb.AccountFlags{DebitsMustNotExceedCredits: true})", "newAccount(s, st, roleBudget, tb.AccountFlags{})"},
		},
		caughtBy: []string{"I1"},
		expose:   lateMoneyForSoldSeats,
	},
	{
		name:     "a wrong amount is accepted",
		edits:    []edit{{"domain/payment.go", "c.AmountMinor == o.AmountMinor && ", ""}},
		caughtBy: []string{"I3"},
		expose:   wrongAmount,
	},
	{
		name: "what has a price costs nothing",
		edits: []edit{
			{"domain/order.go", "	if o.AmountMinor == 0 {\n", "	if o.AmountMinor < 5000 {\n"},
			{"domain/provider.go", "Order: o.ID, Currency: o.Currency}", "Order: o.ID, AmountMinor: o.AmountMinor, Currency: o.Currency}"},
		},
		caughtBy: []string{"I3"},
		expose:   held,
	},
	{
		name:     "late money is dropped",
		edits:    []edit{{"checkouts/payments.go", "	case !late:\n", "	case !late || event.ID != \"\":\n"}},
		caughtBy: []string{"I2", "I6"},
		expose:   lateMoney,
	},
	{
		name:     "a second capture is kept",
		edits:    []edit{{"workflows/late.go", "	if state.Payment == capture.Payment {\n", "	if state.Payment != \"\" {\n"}},
		caughtBy: []string{"I5"},
		expose:   secondCapture,
	},
	{
		name:     "a signature is not looked at",
		edits:    []edit{{"payments/mockpay/webhook.go", "		if err = webhook.VerifyIgnoringTimestamp(body, header); err == nil {\n", "		if _ = webhook; true {\n"}},
		caughtBy: []string{"I3"},
		expose:   forgedSuccess,
	},
	{
		name: "a sale without its event",
		edits: []edit{
			{
				"orders/record.go",
				"SELECT 'order.paid', sale_id, id, payment, event::jsonb FROM sold`",
				"SELECT 'order.paid', sale_id, id, payment, event::jsonb FROM sold WHERE false`",
			},
		},
		caughtBy: []string{"I6"},
		expose:   paid,
	},
	{
		name:     "a reader moves on without its effect",
		edits:    []edit{{"notify/mail/reader.go", "		return store.QueueMails(ctx, mails)\n", "		return nil\n"}},
		caughtBy: []string{"I8"},
		expose:   paid,
	},
	{
		name: "the key does not decide the order",
		edits: []edit{
			{
				"domain/ids.go",
				"	copy(id[6:15], mac(k.order, sale.ID, idempotencyKey))\n",
				"	copy(id[6:15], mac(k.order, sale.ID, idempotencyKey, time.Now().String()))\n",
			},
		},
		caughtBy: []string{caughtByRecord},
		expose:   sameKeyTwice,
	},
	{
		name: "a hold is not given back",
		edits: []edit{
			{
				"workflows/checkout.go",
				"	if err := step(ctx, \"give the seats back\", acts.Release, activities.EndRequest{Order: c.order, Ending: ending}, &outcome); err != nil {\n",
				"	outcome = domain.VoidVoided\n	if err := error(nil); err != nil {\n",
			},
		},
		caughtBy: []string{"I4"},
		expose:   failed,
	},
	{
		name:     "a step gives up",
		edits:    []edit{{"workflows/options.go", "			MaximumAttempts:    untilItSucceeds,\n", "			MaximumAttempts:    2,\n"}},
		caughtBy: []string{"I4", "L"},
		expose:   paidWithoutOrders,
	},
}
