// Postfix as the peer, set up for the same task and tuned: process re-use, TLS session cache, delivery connections
// kept open (smtp_tls_connection_reuse), no artificial delays, no limits that a single client address would meet.
import { join } from 'node:path'
import { startPostfix } from '../../test/support/postfix.ts'
import { envelope } from '../workloads.ts'
import { startDovecotAuth } from './dovecot-auth.ts'
import type { BenchServer, ServerSettings } from './server.ts'

/** `scanner` is not used: Postfix without one is what the targets compare with. */
export async function startPostfixServer(settings: ServerSettings): Promise<BenchServer> {
  const { certificate, directory, sink } = settings
  const socket = join(directory, 'auth')
  const auth = await startDovecotAuth(socket, envelope.login, settings.password)
  const postfix = await startPostfix({
    directory,
    hostname: 'postfix.bench.test',
    mainCf: {
      mynetworks: '127.255.255.255/32', // the clients must log in
      relayhost: `[${sink.host}]:${sink.port}`,
      smtpd_tls_security_level: 'encrypt',
      smtpd_tls_chain_files: `${certificate.key}, ${certificate.chain}`,
      smtpd_tls_mandatory_protocols: '>=TLSv1.2',
      smtpd_sasl_auth_enable: 'yes',
      smtpd_sasl_type: 'dovecot',
      smtpd_sasl_path: socket,
      smtpd_tls_auth_only: 'yes',
      smtpd_relay_restrictions: 'permit_sasl_authenticated, reject',
      smtp_tls_security_level: 'encrypt',
      smtp_tls_mandatory_protocols: '>=TLSv1.2',
      smtp_tls_connection_reuse: 'yes',
      smtp_tls_session_cache_database: 'btree:$data_directory/smtp_scache',
      smtp_connection_cache_on_demand: 'yes',
      smtp_connection_cache_destinations: `[${sink.host}]:${sink.port}`,
      smtp_connection_reuse_count_limit: '100',
      max_use: '100000',
      max_idle: '600s',
      default_process_limit: '200',
      in_flow_delay: '0s',
      smtpd_client_connection_count_limit: '0',
      smtpd_client_event_limit_exceptions: '127.0.0.0/8',
    },
  })
  return {
    submission: { host: postfix.address, port: postfix.port },
    roots: [postfix.pid],
    async stop() {
      await postfix.stop()
      await auth.stop()
    },
  }
}
