// What clients and servers of calls.proto share, read from that without generated code.
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

export const { Calls } = loadPackageDefinition(loadSync(new URL('calls.proto', import.meta.url).pathname)).calls;
export const SESSION = 'x-session';  // the metadata that a session's id is in
