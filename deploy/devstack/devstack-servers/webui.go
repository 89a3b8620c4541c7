package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"reflect"
	"strconv"

	"github.com/labstack/echo/v4"
	"github.com/temporalio/ui-server/v2/server"
	"github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"

	"boxoffice/deploy/devstack/internal/loopback"
)

// runWebUI serves at TEMPORAL_UI_URL until stop. It shows the server at TEMPORAL_ADDRESS,
// and BOXOFFICE_CODEC_URL decrypts payloads for its pages.
func runWebUI(stop <-chan os.Signal) error {
	address, err := url.Parse(mustEnv("TEMPORAL_UI_URL"))
	if err != nil {
		return err
	}
	host, portText, err := net.SplitHostPort(address.Host)
	if err != nil {
		return fmt.Errorf("TEMPORAL_UI_URL: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return fmt.Errorf("TEMPORAL_UI_URL: %w", err)
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = "[" + host + "]" // the server joins host and port as text
	}
	ui := server.NewServer(server_options.WithConfigProvider(&config.Config{
		TemporalGRPCAddress: mustEnv("TEMPORAL_ADDRESS"),
		DefaultNamespace:    mustEnv("TEMPORAL_NAMESPACE"),
		Host:                host,
		Port:                port,
		EnableUI:            true,
		HideLogs:            true, // a line for every request of an open page otherwise
		DisableNewsFetch:    true, // a local stack makes no outside connections
		// Plain http on loopback: a browser may drop a cookie that asks for https, and every button then fails.
		CORS: config.CORS{CookieInsecure: true},
		Codec: config.Codec{
			Endpoint: mustEnv("BOXOFFICE_CODEC_URL"),
			DefaultErrorMessage: "Payloads stay encrypted: this page was not opened at " + mustEnv("TEMPORAL_UI_URL") +
				", or the codec does not answer (log/codec.log in the data directory).",
		},
	}))
	if err := serveLoopbackNames(ui); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- ui.Start() }()
	select {
	case err := <-ended:
		return err
	case <-stop:
		ui.Stop()
		return nil
	}
}

// serveLoopbackNames keeps out pages of other sites. The server has no option for that
// and hides its router, and a proxy in front would leave the server itself reachable. So
// we take the router from its field. A release that keeps it elsewhere does not start.
func serveLoopbackNames(ui *server.Server) error {
	field := reflect.ValueOf(ui).Elem().FieldByName("httpServer")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*echo.Echo]() {
		return fmt.Errorf("this release of the Web UI has no httpServer %s", reflect.TypeFor[*echo.Echo]())
	}
	router := (*echo.Echo)(field.UnsafePointer())
	router.Pre(echo.WrapMiddleware(loopback.Only))
	return nil
}
