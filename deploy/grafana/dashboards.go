package main

import "fmt"

// Units, as Grafana names them.
const (
	perSecond = "reqps"
	seconds   = "s"
	count     = "short"
	share     = "percentunit"
)

// every is how far back a rate looks.
const every = "[$__rate_interval]"

func one(expr, legend string) []query { return []query{{expr, legend}} }

// rate is how often something happens a second, over all nodes.
func rate(by, series string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s%s))", by, series, every)
}

// quantiles are the median and the slowest hundredth of a histogram.
func quantiles(by, histogram, matchers, legend string) []query {
	of := func(q string) string {
		labels := "le"
		if by != "" {
			labels += ", " + by
		}
		return fmt.Sprintf("histogram_quantile(%s, sum by (%s) (rate(%s_bucket%s%s)))", q, labels, histogram, matchers, every)
	}
	return []query{{of("0.5"), legend + " p50"}, {of("0.99"), legend + " p99"}}
}

// mean is the average of what a histogram has seen.
func mean(by, histogram, matchers string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s_sum%s%s)) / sum by (%s) (rate(%s_count%s%s))", by, histogram, matchers, every, by, histogram, matchers, every)
}

const (
	toCheckouts = `{route="/v1/sales/:sale/checkouts"}`
	toWebhooks  = `{route=~"/v1/webhooks/.*"}`

	startsAndUpdates = `{operation=~"StartWorkflowExecution|ExecuteMultiOperation|UpdateWorkflowExecution"}`
)

func dashboards() []dashboard {
	return []dashboard{onSale(), checkoutPath(), ledgerAndBatches(), temporal(), waitingRoom(), moneyOwed()}
}

func onSale() dashboard {
	return dashboard{"on-sale", "on-sale", "What buyers get at the moment, and what is near its bound.", []row{
		{"What buyers get", []panel{
			{"Checkouts by answer", "201 are holds, 409 are refusals: sold out. After the sell-out only 409. 503 in a rush means that the line is full.", perSecond,
				one(rate("status", `boxoffice_http_requests_total`+toCheckouts), "{{status}}")},
			{"Time of a checkout's answer", "p50 some 10 ms, refusals below 1 ms, p99 below 250 ms. Above a second the objective counts it as bad.", seconds,
				quantiles("", "boxoffice_http_request_duration_seconds", toCheckouts, "checkout")},
			{"Checkouts answered badly", "0 to 0.5 %. Above 7 % for an hour pages.", share,
				[]query{{"boxoffice:holds_bad:ratio_rate5m", "last 5 minutes"}, {"boxoffice:holds_bad:ratio_rate1h", "last hour"}}},
			{"Problems by code", "sold_out, limit_reached, not_open are ordinary answers. internal: never. unknown, overloaded: something is slow or away.", perSecond,
				one(rate("code", "boxoffice_http_problems_total"), "{{code}}")},
			{"Refusals of a sold-out sale", "gate: as many as come, they cost no workflow. ledger: a few, at the moment of selling out.", perSecond,
				one(rate("by", "boxoffice_sold_out_refusals_total"), "{{by}}")},
			{"All requests", "Follows the crowd. Pages and event streams are here too.", perSecond,
				one(rate("route", "boxoffice_http_requests_total"), "{{route}}")},
		}},
		{"What the nodes let in", []panel{
			{"The adaptive bound, and who waits", "In line near 0, the bound near its ceiling or where the engine is just busy. A bound at its floor with a line: the engine is slow.", count,
				[]query{
					{"sum(boxoffice_checkouts_waiting)", "under way"}, {"sum(boxoffice_checkouts_bound)", "bound"}, {"sum(boxoffice_checkouts_in_line)", "in line"},
				}},
			{"Checkouts not admitted", "0, except in a rush that is larger than the nodes can take.", perSecond,
				one(rate("by", "boxoffice_checkouts_not_admitted_total"), "{{by}}")},
			{"Time of a hold, p90", "Below 0.1 s. Above it the bound falls. It keeps its last value when nobody buys.", seconds,
				one("max by (instance) (boxoffice_hold_latency_seconds)", "{{instance}}")},
			{"Requests under way, of their bound", "Below 80 %. At 100 % these requests get 503.", share,
				one("max by (bound) (boxoffice_requests_in_flight / boxoffice_requests_in_flight_max)", "{{bound}}")},
			{"Circuits", "0. At 1 a part does not answer, and what needs it is refused at once.", count,
				one("max by (part) (boxoffice_circuit_open)", "{{part}}")},
			{"Refused by rate", "0, or a steady little: bots. Much at once: a rate is too low, or a proxy is not named.", perSecond,
				one(rate("per", "boxoffice_rate_limited_total"), "{{per}}")},
			{"Refused by browsers on our pages", "A few: extensions. Many from one source: somebody found a way to put something into a page.", perSecond,
				one(rate("directive", "boxoffice_policy_violations_total"), "{{directive}}")},
			{"Event streams", "One for each open page of a sale, up to 2,000 a node. Above it pages poll.", count,
				one("sum by (instance) (boxoffice_event_streams)", "{{instance}}")},
			{"The gate", "Takings: the orders of sales that run short, up to 1,000,000. Lookups: few beside the refusals.", count, []query{
				{"max(boxoffice_gate_takings)", "takings"}, {"sum(rate(boxoffice_gate_lookups_total" + every + "))", "lookups a second"},
			}},
			{"Releases", "One. Two while you upgrade.", count,
				one("count by (version, revision) (boxoffice_build_info)", "{{version}} {{revision}}")},
		}},
	}}
}

func checkoutPath() dashboard {
	return dashboard{"checkout-path", "checkout path", "Where the time of a checkout goes, from the request to the recorded order.", []row{
		{"Stages", []panel{
			{"Stages, median", "start and update some ms, hold and post some ms on top of the ledger's own time, record some ms.", seconds,
				one(`histogram_quantile(0.5, sum by (le, stage) (rate(boxoffice_stage_seconds_bucket`+every+`)))`, "{{stage}}")},
			{"Stages, p99", "Ten times the median at most. start and update are Temporal's, hold, post, perk and void the ledger's, record Postgres's.", seconds,
				one(`histogram_quantile(0.99, sum by (le, stage) (rate(boxoffice_stage_seconds_bucket`+every+`)))`, "{{stage}}")},
			{"Stages a second", "start and hold follow the checkouts, update and post the payments. record as many as post: else orders are not recorded.", perSecond,
				one(rate("stage", "boxoffice_stage_seconds_count"), "{{stage}}")},
		}},
		{"From the payment to the ticket", []panel{
			{"Webhooks by answer", "200: settled. 202: acknowledged, settled later. 401: forged. 5xx: the provider repeats it.", perSecond,
				one(rate("status", `boxoffice_http_requests_total`+toWebhooks), "{{status}}")},
			{"Time of a webhook's answer", "p50 some 20 ms, p99 below 250 ms.", seconds,
				quantiles("", "boxoffice_http_request_duration_seconds", toWebhooks, "webhook")},
			{"Webhooks answered badly", "0. Above 1.4 % for an hour pages.", share,
				[]query{{"boxoffice:webhooks_bad:ratio_rate5m", "last 5 minutes"}, {"boxoffice:webhooks_bad:ratio_rate1h", "last hour"}}},
			{"Sold orders in a transaction", "1 when they come slowly, more in a rush: they share commits.", count,
				one("sum(rate(boxoffice_orders_batch_size_sum"+every+")) / sum(rate(boxoffice_orders_batch_size_count"+every+"))", "orders")},
			{"Orders sold", "Follows the payments.", perSecond, one("sum(rate(boxoffice_orders_batch_size_sum"+every+"))", "orders")},
			{"Buyers back before the webhook", "Few beside the orders sold. settled as many as those: webhooks are late. unknown: the provider does not answer.", perSecond,
				one(rate("answer", "boxoffice_payment_checks_total"), "{{answer}}")},
			{"Events of the provider that are none of ours", "0. Else switch those types off at the provider.", perSecond,
				one("sum(rate(boxoffice_webhook_events_ignored_total"+every+"))", "events")},
		}},
		{"Everything by route", []panel{
			{"Time of an answer, p99", "Pages and orders below 100 ms. /metrics below a second.", seconds,
				one("histogram_quantile(0.99, sum by (le, route) (rate(boxoffice_http_request_duration_seconds_bucket"+every+")))", "{{route}}")},
			{"Answers 5xx", "0.", perSecond, one(rate("route", `boxoffice_http_requests_total{status=~"5.."}`), "{{route}}")},
			{"Calls to Temporal, p99", "Start and update below 100 ms. See the dashboard Temporal for the rest.", seconds,
				one("histogram_quantile(0.99, sum by (le, operation) (rate(temporal_request_latency_seconds_bucket"+startsAndUpdates+every+")))", "{{operation}}")},
		}},
	}}
}

func ledgerAndBatches() dashboard {
	return dashboard{"ledger", "ledger and batches", "TigerBeetle as the box office sees it, and the batcher in front of it.", []row{
		{"The ledger", []panel{
			{"Requests", "Fewer than the holds in a rush: many share one. error: 0.", perSecond,
				one(rate("op, result", "boxoffice_ledger_request_seconds_count"), "{{op}} {{result}}")},
			{"Time of a request", "p50 some ms, p99 below 50 ms on good disks.", seconds, quantiles("op", "boxoffice_ledger_request_seconds", "", "{{op}}")},
			{"Wait in the batcher", "Below the time of one request: the next batch leaves when one comes back. Growing: more comes in than one client carries.", seconds,
				quantiles("op", "boxoffice_ledger_queue_seconds", "", "{{op}}")},
			{"Events in a request", "1 when little happens, hundreds in a rush, at most 8,189.", count,
				one(mean("op", "boxoffice_ledger_batch_events", ""), "{{op}}")},
			{"Unanswered", "0. Any: the ledger did not answer within 5 s; the steps are repeated.", perSecond,
				one(rate("op", "boxoffice_ledger_unanswered_total"), "{{op}}")},
			{"Refused", "0. Any: the batcher's queue was full, or a caller's time was up.", perSecond,
				one(rate("op", "boxoffice_ledger_refused_total"), "{{op}}")},
		}},
		{"Around it", []panel{
			{"Clocks", "Within some ms of 0. Above 5 s an alert, above 20 s nothing is sold.", seconds,
				one("max by (instance, clock) (abs(boxoffice_clock_skew_seconds))", "{{instance}} {{clock}}")},
			{"Which ledger", "The same on all nodes.", count, one("count by (ledger) (boxoffice_info)", "{{ledger}}")},
			{"Lookups of the gate", "Few beside the refusals.", perSecond, one("sum(rate(boxoffice_gate_lookups_total"+every+"))", "lookups")},
		}},
	}}
}

func temporal() dashboard {
	return dashboard{"temporal", "Temporal", "The Temporal SDK's own metrics of clients and workers.", []row{
		{"Workers", []panel{
			{"Workflow tasks wait for a worker, p95", "Below 100 ms. The first task of a checkout does not wait at all: it comes with the start.", seconds,
				one("histogram_quantile(0.95, sum by (le, task_queue) (rate(temporal_workflow_task_schedule_to_start_latency_seconds_bucket"+every+")))", "{{task_queue}}")},
			{"Activities wait for a worker, p95", "Below 100 ms. Few checkouts need an activity on the queue.", seconds,
				one("histogram_quantile(0.95, sum by (le, task_queue) (rate(temporal_activity_schedule_to_start_latency_seconds_bucket"+every+")))", "{{task_queue}}")},
			{"Slots in use", "Below 80 % of the slots. checkouts have 1,000 for workflow tasks, 5,000 for local activities, 500 for others.", share,
				one("sum by (task_queue, worker_type) (temporal_worker_task_slots_used) / sum by (task_queue, worker_type) (temporal_worker_task_slots_used + temporal_worker_task_slots_available)", "{{task_queue}} {{worker_type}}")},
			{"Open checkouts in memory", "All that are open, up to 20,000 a node.", count,
				one("max by (instance) (temporal_sticky_cache_size)", "{{instance}}")},
			{"Workflow tasks found in memory, and not", "hit: nearly all. miss: after a restart, or above 20,000 open ones: those are replayed.", perSecond,
				[]query{
					{"sum(rate(temporal_sticky_cache_hit_total" + every + "))", "hit"}, {"sum(rate(temporal_sticky_cache_miss_total" + every + "))", "miss"},
				}},
			{"Pollers", "Steady. 0: the worker stopped.", count,
				one("sum by (task_queue, poller_type) (temporal_num_pollers)", "{{task_queue}} {{poller_type}}")},
			{"Builds of the workers", "One. Two while you upgrade: a rise of the waits above belongs to one of them.", count,
				one("count by (version, revision, temporal_sdk) (boxoffice_build_info)", "{{version}} {{revision}}, SDK {{temporal_sdk}}")},
		}},
		{"Workflows and activities", []panel{
			{"Workflows that completed", "Checkout: as many as start, later by the time of a hold at most.", perSecond,
				one(rate("workflow_type", "temporal_workflow_completed_total"), "{{workflow_type}}")},
			{"Workflows that failed", "0. Any is a bug.", count,
				one("sum by (workflow_type) (increase(temporal_workflow_failed_total[1h]))", "{{workflow_type}} in an hour")},
			{"Workflow tasks that failed", "0. NonDeterminismError: the release cannot replay what an older one began.", perSecond,
				one(rate("workflow_type, failure_reason", "temporal_workflow_task_execution_failed_total"), "{{workflow_type}} {{failure_reason}}")},
			{"Time of a workflow task, p99", "Some ms on top of its local activities: hold, post, record.", seconds,
				one("histogram_quantile(0.99, sum by (le, workflow_type) (rate(temporal_workflow_task_execution_latency_seconds_bucket"+every+")))", "{{workflow_type}}")},
			{"Time of local activities, p99", "As the stages of the same names.", seconds,
				one("histogram_quantile(0.99, sum by (le, activity_type) (rate(temporal_local_activity_execution_latency_seconds_bucket"+every+")))", "{{activity_type}}")},
			{"Time of activities, p99", "AuditSales: some seconds for large sales. Others are steps that did not succeed at once.", seconds,
				one("histogram_quantile(0.99, sum by (le, activity_type) (rate(temporal_activity_execution_latency_seconds_bucket"+every+")))", "{{activity_type}}")},
			{"Activities that fail", "0, except while a part is away: they are retried.", perSecond,
				one(rate("activity_type", "temporal_activity_execution_failed_total"), "{{activity_type}}")},
		}},
		{"Calls to the server", []panel{
			{"Calls", "A start and an update for each paid checkout, and some more for each task.", perSecond,
				one(rate("operation", "temporal_request_total"), "{{operation}}")},
			{"Time of a call, p99", "Below 100 ms.", seconds,
				one("histogram_quantile(0.99, sum by (le, operation) (rate(temporal_request_latency_seconds_bucket"+every+")))", "{{operation}}")},
			{"Calls that fail", "NOT_FOUND and ALREADY_EXISTS are answers. UNAVAILABLE, DEADLINE_EXCEEDED: the server is away or slow.", perSecond,
				one(rate("operation, status_code", "temporal_request_failure_total"), "{{operation}} {{status_code}}")},
			{"Throttled", "0. Any: a limit of the namespace or the cluster is reached.", perSecond,
				one(rate("operation, cause", "temporal_request_resource_exhausted_total"), "{{operation}} {{cause}}")},
			{"Long polls", "Steady: each poller asks again after a task, or after a minute.", perSecond,
				one(rate("operation", "temporal_long_request_total"), "{{operation}}")},
		}},
	}}
}

func waitingRoom() dashboard {
	return dashboard{"waiting-room", "waiting room", "Who waits, and how fast the door lets them in.", []row{
		{"The queue", []panel{
			{"People", "Joined grows until the opening. Then admitted follows joined, and waiting falls.", count, []query{
				{"max by (sale) (boxoffice_queue_joined)", "{{sale}} joined"}, {"max by (sale) (boxoffice_queue_waiting)", "{{sale}} waiting"},
				{"max by (sale) (boxoffice_queue_admitted)", "{{sale}} admitted"},
			}},
			{"The door's rate", "As many a second as the engine sells to, between floor and ceiling. At its floor with people waiting: the checkouts are congested.", perSecond,
				one("max by (sale) (boxoffice_queue_rate_per_second)", "{{sale}}")},
			{"Turns of the door", "Several a second, over all nodes, while it is open. 0 then: nobody turns it.", perSecond, []query{
				{rate("sale", "boxoffice_queue_door_turns_total"), "{{sale}} turns"}, {"max by (sale) (boxoffice_queue_open)", "{{sale}} is open"},
			}},
			{"Streams of places", "One for each page that waits, up to 5,000 a node. Above it pages poll.", count,
				one("sum by (instance) (boxoffice_place_streams)", "{{instance}}")},
		}},
		{"What the door sees", []panel{
			{"Checkouts by answer", "201 about as fast as the door admits, less those who leave.", perSecond,
				one(rate("status", `boxoffice_http_requests_total`+toCheckouts), "{{status}}")},
			{"The line behind the door", "0 or little: the door lets in what the engine takes.", count, one("sum(boxoffice_checkouts_in_line)", "in line")},
			{"Requests to queues", "Joins before the opening, polls of places after it.", perSecond,
				one(rate("route, status", `boxoffice_http_requests_total{route=~"/v1/sales/:sale/queue.*|/v1/queue/.*"}`), "{{route}} {{status}}")},
		}},
	}}
}

func moneyOwed() dashboard {
	return dashboard{"money", "money owed", "What is owed to buyers and to other systems, and what the audit says. All of it is the database's, the same from every node; the last row is MockPay's own.", []row{
		{"Money", []panel{
			{"Refunds owed", "0, or a few that are on their way. After a sale is called off: all its orders, falling by up to 50 a second.", count,
				one("max(boxoffice_refunds_owed)", "refunds")},
			{"The oldest refund", "Below some minutes. Above an hour: the provider refuses it or is away.", seconds,
				one("max(boxoffice_refunds_owed_oldest_seconds)", "owed for")},
			{"Refunds late", "0. The share of the time in which some refund was owed for more than an hour.", share,
				[]query{{"boxoffice:refunds_late:ratio1h", "last hour"}, {"boxoffice:refunds_late:ratio1d", "last day"}}},
			{"Rate limits of payment providers", "0. Above it: calls to the provider are held back, and its sales are slower.", perSecond,
				one(rate("provider", "boxoffice_provider_rate_limits_total"), "{{provider}}")},
			{"Disputes", "0. What buyers' banks ask back; unanswered: they wait for the organiser.", count, []query{
				{"max(boxoffice_disputes_open)", "open"}, {"max(boxoffice_disputes_unanswered)", "unanswered"},
			}},
			{"Time left to answer a dispute", "Nothing here: none waits. Below a day: answer it now, at the provider.", seconds,
				one("min(boxoffice_disputes_respond_by_timestamp_seconds > 0) - time()", "left")},
			{"Orders flagged", "0. The log says which and why.", count, one("sum by (what) (increase(boxoffice_flagged_total[1h]))", "{{what}} in an hour")},
		}},
		{"The audit", []panel{
			{"Broken invariants", "0. Anything else: boxoffice verify.", count, one("max by (invariant) (boxoffice_audit_broken)", "{{invariant}}")},
			{"Since the last audit that saw everything", "Below two minutes.", seconds, one("time() - max(boxoffice_audit_last_run_timestamp_seconds)", "since")},
			{"Sources that cannot be read", "0.", count, one("max by (source) (boxoffice_audit_unread)", "{{source}}")},
			{"Overdue workflows", "0. Those that retry something that is away, or wait for a worker.", count, one("max(boxoffice_audit_waiting)", "workflows")},
			{"Time of an audit", "Some seconds; with millions of orders, below its interval.", seconds, one("max(boxoffice_audit_duration_seconds)", "all sales")},
			{"Age of what the database said", "Below 6 s on at least one node. Growing: Postgres does not answer.", seconds,
				one("min by (of) (boxoffice_look_age_seconds)", "{{of}}")},
		}},
		{"Those who listen", []panel{
			{"Readers behind the log", "Some seconds, in a rush a minute.", seconds, one("max by (reader) (boxoffice_reader_lag_seconds)", "{{reader}}")},
			{"Events behind", "Falls again after a rush.", count, one("max by (reader) (boxoffice_reader_lag_events)", "{{reader}}")},
			{"Readers that fail, or that nobody runs", "0 of 8 shards.", count, []query{
				{"max by (reader) (boxoffice_reader_failing)", "{{reader}} failing"}, {"max by (reader) (boxoffice_reader_unheld)", "{{reader}} unheld"},
			}},
			{"Events set aside", "0. waiting comes by itself, stuck waits for somebody.", count,
				one("max by (reader, state) (boxoffice_reader_set_aside)", "{{reader}} {{state}}")},
			{"Events by result", "done.", perSecond, one(rate("reader, result", "boxoffice_reader_events_total"), "{{reader}} {{result}}")},
			{"Time of a reader's call, p99", "Some ms. kafka: a round trip to its brokers.", seconds,
				one("histogram_quantile(0.99, sum by (le, reader) (rate(boxoffice_reader_call_seconds_bucket"+every+")))", "{{reader}}")},
			{"Kafka", "0. unreachable comes by itself; the others need somebody. Nothing here: no Kafka is set.", perSecond,
				one(rate("reason", "boxoffice_kafka_failures_total"), "{{reason}}")},
		}},
		{"Mails", []panel{
			{"Mails due", "0, in a rush many.", count, one("max(boxoffice_mails_due)", "mails")},
			{"The oldest mail due", "Below a minute, after a rush more.", seconds, one("max(boxoffice_mails_due_oldest_seconds)", "waits for")},
			{"Mails settled", "sent. needless: no longer true. set_aside: no relay takes it.", perSecond,
				one(rate("kind, state", "boxoffice_mails_settled_total"), "{{kind}} {{state}}")},
			{"Failures of the relay", "0.", perSecond, one("sum(rate(boxoffice_mail_relay_failures_total"+every+"))", "failures")},
			{"Mails set aside", "Steady. Growing: perhaps the relay refuses all of a kind.", count, one("max(boxoffice_mails_set_aside)", "mails")},
		}},
		{"Webhooks to others", []panel{
			{"Deliveries pending", "0, in a rush many: they yield to checkouts.", count, one("max(boxoffice_webhook_pending)", "deliveries")},
			{"The oldest delivery", "Below a minute. More: an endpoint does not take it.", seconds, one("max(boxoffice_webhook_lag_seconds)", "waits for")},
			{"Attempts", "taken. failed: the endpoint's fault.", perSecond, one(rate("result", "boxoffice_webhook_attempts_total"), "{{result}}")},
			{"Time of an attempt", "As quick as the endpoints.", seconds, quantiles("", "boxoffice_webhook_attempt_seconds", "", "attempt")},
			{"Endpoints", "All ok.", count, one("max by (state) (boxoffice_webhook_endpoints)", "{{state}}")},
			{"Given up in the last day", "0.", count, one("max(boxoffice_webhook_given_up)", "deliveries")},
		}},
		{"MockPay, where it is the provider", []panel{
			{"Webhooks of MockPay that wait", "0, in a rush some. Growing: the box office does not acknowledge them. Nothing here: no MockPay is scraped.", count, []query{
				{"max(mockpay_webhooks_undelivered)", "waiting"}, {"max(mockpay_webhooks_undelivered_oldest_seconds)", "seconds the oldest waits"},
			}},
			{"Attempts of MockPay", "acknowledged. refused, unanswered: the box office was away or said no; they are repeated for a day.", perSecond,
				one(rate("result", "mockpay_webhook_attempts_total"), "{{result}}")},
			{"Money at MockPay", "Captures follow the checkouts. Refunds follow what is owed.", perSecond, []query{
				{"sum(rate(mockpay_captures_total" + every + "))", "captures"}, {"sum(rate(mockpay_refunds_total" + every + "))", "refunds"},
				{"sum(rate(mockpay_declines_total" + every + "))", "declines"},
			}},
		}},
	}}
}
