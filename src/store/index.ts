export { freeMb } from './free.ts';
export { openStore, type Store, type StoreOptions } from './store.ts';
