module boxoffice/deploy/release

go 1.26.8

require golang.org/x/mod v0.30.0
