# What a scanner asks about the components of a bill of materials (CycloneDX). Debian's advisories name source packages. A component
# that is not understood is an error: nobody would see that it was left out.
def property($name): [.properties[]? | select(.name == "boxoffice:debian:" + $name) | .value][0] // error("\(.name) \(.version) does not say its Debian \($name)");
def package:
  if .purl // "" | startswith("pkg:golang/") then
    {name: (if .name == "std" then "stdlib" else .name end), version: (.version | ltrimstr("v") | ltrimstr("go")), ecosystem: "Go"}
  elif .purl // "" | startswith("pkg:deb/debian/") then
    {name: property("source"), version: property("source-version"), ecosystem: "Debian:\(property("release"))"}
  else error("\(.name) \(.version) is of no kind that is known here: \(.purl)") end;
# What is of this repository has no version of its own.
[.components[]? | select(.version != "(devel)") | {package: package}]
| if ([.[].package.ecosystem | split(":")[0]] | unique) != ["Debian", "Go"] then error("it has not both, Go modules and Debian packages") else . end
| {results: [{packages: .}]}
