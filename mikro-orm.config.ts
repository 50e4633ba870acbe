import { DormouseError } from './src/errors/index.ts';
import { ormOptions } from './src/records/orm.ts';

/** For the command line of MikroORM, such as `mikro-orm migration:create`. */
const url = process.env.DATABASE_URL;
if (!url)
  throw new DormouseError('CONFIG_INVALID', 'DATABASE_URL is not set: it names the database to work with.');

export default { ...ormOptions(url), driverOptions: { connectionString: url } };
