package java

import "strings"

// knownGroup is the group id of well-known artifacts whose archives carry no
// pom.properties because they are not built by Maven, and whose manifests do
// not name the group; or "". Without it, Spring itself would be a Gap in
// every Spring application. The names are those of Maven Central; a test holds
// the table to what advisories name.
func knownGroup(artifact, version string) string {
	if g, ok := artifactGroups[artifact]; ok {
		old, moved, _ := strings.Cut(g, " ")
		if since, later, ok := strings.Cut(moved, "="); ok && major(version) >= major(since) {
			return later
		}
		return old
	}
	for _, p := range prefixGroups {
		if strings.HasPrefix(artifact, p.prefix) {
			return p.group
		}
	}
	return ""
}

// major is the number that a version begins with.
func major(version string) int {
	n := 0
	for i := 0; i < min(len(version), 8) && '0' <= version[i] && version[i] <= '9'; i++ {
		n = 10*n + int(version[i]-'0')
	}
	return n
}

// artifactGroups are exact names. "old 2=new" is a group that changed with
// version 2.
var artifactGroups = map[string]string{
	"spring-aop": spring, "spring-aspects": spring, "spring-beans": spring, "spring-context": spring,
	"spring-context-indexer": spring, "spring-context-support": spring, "spring-core": spring,
	"spring-expression": spring, "spring-instrument": spring, "spring-jcl": spring, "spring-jdbc": spring,
	"spring-jms": spring, "spring-messaging": spring, "spring-orm": spring, "spring-oxm": spring,
	"spring-r2dbc": spring, "spring-test": spring, "spring-tx": spring, "spring-web": spring,
	"spring-webflux": spring, "spring-webmvc": spring, "spring-webmvc-portlet": spring, "spring-websocket": spring,
	"spring-amqp": "org.springframework.amqp", "spring-rabbit": "org.springframework.amqp",
	"spring-kafka": "org.springframework.kafka", "spring-ldap-core": "org.springframework.ldap",
	"spring-hateoas": "org.springframework.hateoas", "spring-graphql": "org.springframework.graphql",
	"spring-retry": "org.springframework.retry", "spring-ws-core": "org.springframework.ws",
	"spring-xml": "org.springframework.ws", "spring-vault-core": "org.springframework.vault",
	"spring-webflow": "org.springframework.webflow",

	"bcprov-jdk14": bouncy, "bcprov-jdk15": bouncy, "bcprov-jdk15on": bouncy, "bcprov-jdk15to18": bouncy, "bcprov-jdk16": bouncy,
	"bcprov-jdk18on": bouncy, "bcprov-ext-jdk15on": bouncy, "bcprov-ext-jdk18on": bouncy, "bcpkix-jdk15on": bouncy,
	"bcpkix-jdk15to18": bouncy, "bcpkix-jdk18on": bouncy, "bcutil-jdk15on": bouncy, "bcutil-jdk18on": bouncy,
	"bcpg-jdk15on": bouncy, "bcpg-jdk18on": bouncy, "bcmail-jdk15on": bouncy, "bcmail-jdk18on": bouncy,
	"bctls-jdk15on": bouncy, "bctls-jdk18on": bouncy, "bc-fips": bouncy,

	"commons-beanutils": "commons-beanutils", "commons-codec": "commons-codec", "commons-collections": "commons-collections",
	"commons-configuration": "commons-configuration", "commons-dbcp": "commons-dbcp", "commons-digester": "commons-digester",
	"commons-fileupload": "commons-fileupload", "commons-httpclient": "commons-httpclient", "commons-io": "commons-io",
	"commons-jxpath": "commons-jxpath", "commons-lang": "commons-lang", "commons-logging": "commons-logging",
	"commons-net": "commons-net", "commons-pool": "commons-pool", "commons-validator": "commons-validator",
	"dom4j": "dom4j 2=org.dom4j", "jdom": "org.jdom", "log4j": "log4j", "velocity": "org.apache.velocity", "xalan": "xalan",
	"xercesImpl": "xerces", "xmlbeans": "org.apache.xmlbeans", "xstream": "com.thoughtworks.xstream",
	"batik-bridge": "org.apache.xmlgraphics", "batik-transcoder": "org.apache.xmlgraphics",
	"groovy": "org.codehaus.groovy 4=org.apache.groovy", "groovy-all": "org.codehaus.groovy 4=org.apache.groovy",

	"asm": asm, "asm-analysis": asm, "asm-commons": asm, "asm-tree": asm, "asm-util": asm, "asm-xml": asm,
	"guice": "com.google.inject",

	"hibernate-core": "org.hibernate 6=org.hibernate.orm", "hibernate-validator": "org.hibernate 6=org.hibernate.validator",
	"kafka-clients": "org.apache.kafka", "kotlin-stdlib": "org.jetbrains.kotlin",
	"okhttp": "com.squareup.okhttp 3=com.squareup.okhttp3", "okio": "com.squareup.okio", "okio-jvm": "com.squareup.okio",
	"reactor-netty": "io.projectreactor.netty", "reactor-netty-http": "io.projectreactor.netty",
	"reactor-core": "io.projectreactor", "micrometer-core": "io.micrometer",
	"elasticsearch": "org.elasticsearch", "opensearch": "org.opensearch", "graphql-java": "com.graphql-java",
	"tomcat-embed-core": "org.apache.tomcat.embed", "tomcat-embed-websocket": "org.apache.tomcat.embed",
	"tomcat-embed-el": "org.apache.tomcat.embed", "tomcat-embed-jasper": "org.apache.tomcat.embed",
	"tomcat-catalina": "org.apache.tomcat", "tomcat-coyote": "org.apache.tomcat", "tomcat-util": "org.apache.tomcat",
	"postgresql": "postgresql 42=org.postgresql", "h2": "com.h2database", "json": "org.json", "javassist": "org.javassist",
}

const (
	spring = "org.springframework"
	bouncy = "org.bouncycastle"
	asm    = "asm 4=org.ow2.asm"
)

// prefixGroups are families that have one group each; the first that fits
// counts, and "" is a family that has several.
var prefixGroups = []struct{ prefix, group string }{
	{"spring-boot-admin", ""},
	{"spring-boot", "org.springframework.boot"},
	{"spring-security-oauth2-authorization", "org.springframework.security"},
	{"spring-security-oauth2-autoconfigure", ""},
	{"spring-security-oauth2-", "org.springframework.security"},
	{"spring-security-oauth", ""},
	{"spring-security-", "org.springframework.security"},
	{"spring-data-", "org.springframework.data"},
	{"spring-integration-", "org.springframework.integration"},
	{"spring-session-", "org.springframework.session"},
	{"spring-batch-", "org.springframework.batch"},
}
