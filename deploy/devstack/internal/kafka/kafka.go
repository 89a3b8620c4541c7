// Package kafka finds what an Apache Kafka needs on this machine, and says how to run a
// broker of one process for the local stack.
package kafka

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// javaMin is the oldest Java that the broker runs on.
const javaMin = 17

const javaTimeout = 30 * time.Second

// A MissingError says what this machine lacks and how to get it.
type MissingError struct{ What, How string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("no Apache Kafka can run here: %s; %s", e.What, e.How)
}

const getJava = "install a Java runtime (Debian, Ubuntu: openjdk-17-jre-headless; Fedora, RHEL: java-21-openjdk-headless; " +
	"Alpine: openjdk17-jre-headless; macOS: brew install openjdk), or set JAVA_HOME, or run without KAFKA=1"

// FindJava returns the path of a java that is new enough.
func FindJava(ctx context.Context) (string, error) {
	path := filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")
	if os.Getenv("JAVA_HOME") == "" {
		found, err := exec.LookPath("java")
		if err != nil {
			return "", &MissingError{"there is no java on PATH, and JAVA_HOME is not set", getJava}
		}
		path = found
	}
	ctx, cancel := context.WithTimeout(ctx, javaTimeout)
	defer cancel()
	output, err := exec.CommandContext(ctx, path, "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return "", &MissingError{fmt.Sprintf("%s does not run: %v", path, err), getJava}
	}
	if release := javaRelease(string(output)); release < javaMin {
		return "", &MissingError{fmt.Sprintf("%s is Java %d, and Kafka %s needs %d or later", path, release, Release, javaMin), getJava}
	}
	return path, nil
}

var specification = regexp.MustCompile(`(?m)^\s*java\.specification\.version = (?:1\.)?(\d+)`)

// javaRelease is 0 where the text has none.
func javaRelease(settings string) int {
	found := specification.FindStringSubmatch(settings)
	if found == nil {
		return 0
	}
	release, _ := strconv.Atoi(found[1])
	return release
}

// An Install is what this machine has.
type Install struct{ Java, Jars string }

// Look returns the installed files, and downloads nothing.
func Look(ctx context.Context) (Install, error) {
	java, err := FindJava(ctx)
	if err != nil {
		return Install{}, err
	}
	jars, found := downloaded()
	if !found {
		return Install{}, &MissingError{
			fmt.Sprintf("its %d files are not in %s", len(artifacts()), jars), "make run KAFKA=1 and make test KAFKA=1 download them, some 50 MB, once",
		}
	}
	return Install{java, jars}, nil
}

// Get returns the files, and downloads missing ones.
func Get(ctx context.Context) (Install, error) {
	java, err := FindJava(ctx)
	if err != nil {
		return Install{}, err
	}
	jars, err := download(ctx, cmp.Or(os.Getenv(RepositoryVariable), mavenCentral))
	if err != nil {
		return Install{}, fmt.Errorf("%w: %w", &MissingError{
			"its files are not on this machine and could not be downloaded", "bring the network back, or name a Maven repository with " + RepositoryVariable,
		}, err)
	}
	return Install{java, jars}, nil
}

// Args run a class of Kafka's.
func (i Install) Args(folder, class string, args ...string) []string {
	return append([]string{
		"-Xms64m", "-Xmx256m", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + filepath.Join(folder, logFile), "-cp", filepath.Join(i.Jars, "*"), class,
	}, args...)
}

// The classes that are run.
const (
	classBroker   = "kafka.Kafka"
	classStorage  = "kafka.tools.StorageTool"
	classConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
)

// Names of files in the broker's folder.
const (
	propertiesFile = "server.properties"
	logFile        = "log4j2.properties"
	dataFolder     = "data"
)

// A Broker is one of the local stack's own.
type Broker struct {
	Install
	Folder string
	// Address and Controller are where it listens, both on loopback.
	Address, Controller string
	// Advertised is the address that the broker gives to clients.
	Advertised string
}

// RunFunc runs a program to its end.
type RunFunc func(ctx context.Context, name, path string, args ...string) error

// Prepare writes its settings, and formats its folder the first time.
func (b Broker) Prepare(ctx context.Context, run RunFunc) error {
	data := filepath.Join(b.Folder, dataFolder)
	for name, content := range map[string]string{propertiesFile: b.properties(data), logFile: logSettings} {
		if err := os.WriteFile(filepath.Join(b.Folder, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(data, "meta.properties")); err == nil {
		return nil
	}
	if err := os.RemoveAll(data); err != nil { // formatting broke off
		return err
	}
	cluster := base64.RawURLEncoding.EncodeToString([]byte(rand.Text()[:16]))
	return run(ctx, "kafka-format", b.Java, b.Args(b.Folder, classStorage, "format", "-t", cluster, "-c", filepath.Join(b.Folder, propertiesFile))...)
}

// Command runs it.
func (b Broker) Command() (path string, args []string) {
	return b.Java, b.Args(b.Folder, classBroker, filepath.Join(b.Folder, propertiesFile))
}

func (b Broker) properties(data string) string {
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + b.Controller,
		"listeners=PLAINTEXT://" + b.Address + ",CONTROLLER://" + b.Controller,
		"advertised.listeners=PLAINTEXT://" + b.Advertised,
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + data,
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"num.partitions=3",
		"auto.create.topics.enable=true",
		"group.initial.rebalance.delay.ms=0",
		"",
	}, "\n")
}

const logSettings = `rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_ERR
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c)%n
`

// ConsumerArgs show the contents of a topic, from the beginning, until interrupted.
func (i Install) ConsumerArgs(folder, address, topic string, more ...string) []string {
	return i.Args(folder, classConsumer, append([]string{
		"--bootstrap-server", address, "--topic", topic, "--from-beginning",
		"--property", "print.key=true", "--property", "print.headers=true", "--property", "print.partition=true",
	}, more...)...)
}

// IsMissing reports whether the error says that this machine cannot run Kafka.
func IsMissing(err error) bool {
	var missing *MissingError
	return errors.As(err, &missing)
}
